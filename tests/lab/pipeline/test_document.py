"""YAML and JSON as data that knows its lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.pipeline.document import plain, read_document

KEYS = st.text(min_size=1, max_size=80)  # PyYAML knows no key of more than 1,024 characters
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


def written(folder: Path, text: str, name: str = "file.yml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@given(data=st.dictionaries(KEYS, JSON, min_size=1))
def test_json_is_read_as_json_reads_it(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    path = tmp_path_factory.mktemp("json") / "file.json"
    for indent in (None, "\t"):
        path.write_text(json.dumps(data, indent=indent), encoding="utf-8")
        assert plain(read_document(path).data) == data


def test_every_part_knows_its_line(tmp_path: Path) -> None:
    text = "a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n"
    lines = read_document(written(tmp_path, text)).lines
    assert [lines["a",], lines["b",], lines["b", 1, "c"], lines["b", 1, "d"]] == [1, 2, 4, 5]


def test_a_key_of_its_own_overrides_what_a_merge_brings(tmp_path: Path) -> None:
    text = "base: &base {a: 1, b: 2}\nown:\n  <<: *base\n  b: 3\n"
    assert plain(read_document(written(tmp_path, text)).data)["own"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n\tb: 2\n", ":2: a tab indents this line, and YAML wants spaces"),
        ("a: 1\nb: 2\na: 3\n", ":3: a stands twice (first in line 1): keep one"),
        ("a: {b: 1, b: 1}\n", ":1: b stands twice"),
        ("a: [1\n", ":2: "),
        ("a: &x [*x]\n", ":1: an alias stands inside of what it names"),
        ("a: *nowhere\n", ":1: "),
        ("a: !!python/object/apply:os.getcwd []\n", ":1: a tag stands here"),
        ("a: !!set {b}\n", ":1: a tag stands here"),
        ("a: !mine 1\n", ":1: a tag stands here"),
        ("? [1, 2]\n: x\n", ":1: a key is a list or a mapping: give a name"),
        ("a: 1\n---\nb: 2\n", ":2: a second document begins here"),
        ("", " is empty: `lab init` writes an example"),
        ("# only a comment\n", " is empty: `lab init` writes an example"),
        ("[" * 3000, "nested too deeply"),
    ],
)
def test_what_is_no_document_is_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadParameter) as refused:
        read_document(written(tmp_path, text))
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "file.yml"))
    assert "\n" not in str(refused.value)


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(BadParameter, match="more than 100,000 parts"):
        read_document(written(tmp_path, "\n".join(lines)))


def test_what_cannot_be_read_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "bytes.yml").write_bytes(b"a: \xff\n")
    for name, said in {
        "nope.yml": "cannot be read: No such file",
        ".": "cannot be read: Is a directory",
        "bytes.yml": "is no text in UTF-8 (byte 3): save it as UTF-8",
    }.items():
        with pytest.raises(BadParameter) as refused:
            read_document(tmp_path / name)
        assert said in str(refused.value)
