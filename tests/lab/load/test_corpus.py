"""Texts come from Python itself or from the user's files, cut to size."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import CorpusError
from lab.load.requests import cut, load


def test_without_a_name_there_is_english_prose() -> None:
    (text,) = load()
    assert len(text) > 100_000
    assert " the " in text


def test_a_file_is_one_text(tmp_path: Path) -> None:
    file = tmp_path / "novel.text"
    file.write_text("Grüße, world", encoding="utf-8")
    assert load(str(file)) == ("Grüße, world",)


def test_a_folder_gives_its_txt_files_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(name)
    assert load(str(tmp_path)) == ("a.txt", "b.txt")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"latin\.txt is not UTF-8"):
        load(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "does not exist"), ("empty", r"no \.txt file"), ("blank.txt", "no text")],
)
def test_a_corpus_without_text_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text(" \n")
    with pytest.raises(CorpusError, match=f"{name}.*{message}"):
        load(str(tmp_path / name))


@given(st.text(min_size=1), st.integers(1, 500))
def test_a_text_is_cut_to_the_byte_but_for_a_split_character(text: str, size: int) -> None:
    encoded = cut(text, size).encode()
    assert size - 3 <= len(encoded) <= size
    assert (text + " " + text).encode().startswith(encoded[: len(text.encode())])


def test_a_short_text_is_repeated() -> None:
    assert cut("abc", 10) == "abc abc ab"
