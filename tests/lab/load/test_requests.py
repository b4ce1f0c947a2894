"""Requests are well formed, each of the pipeline's has its own id, and their texts come from a corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter, CorpusError
from lab.load.requests import cut, head, load_corpus, numbered, pipeline_bodies, socket_path, split_url


def test_a_head_has_what_http_needs() -> None:
    assert head("GET", "http://127.0.0.1:8051/a/b?c=d", (), None) == (
        b"GET /a/b?c=d HTTP/1.1\r\nHost: 127.0.0.1:8051\r\nUser-Agent: pipeline-lab\r\n\r\n"
    )


def test_a_url_without_a_path_asks_for_the_root() -> None:
    assert head("GET", "http://localhost", (), None).startswith(b"GET / HTTP/1.1\r\nHost: localhost\r\n")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://localhost/p?", "/p?"),
        ("http://localhost?", "/?"),
        ("http://localhost?a=/b", "/?a=/b"),
        ("http://localhost#top", "/"),
        ("http://localhost/p?#top", "/p?"),
        ("http://localhost//a;b=1?c?d", "//a;b=1?c?d"),
        ("unix:/run/app.sock:/p?", "/p?"),
        ("unix:/run/app.sock", "/"),
    ],
)
def test_the_target_stays_as_the_url_has_it(url: str, target: str) -> None:
    assert head("GET", url, (), None).startswith(f"GET {target} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("unix:/run/app.sock:/p", "/run/app.sock"),
        ("unix:/run/app.sock", "/run/app.sock"),
        ("unix:///run/app.sock:/p", "/run/app.sock"),
        ("unix:app.sock:/a:/b", "app.sock"),
    ],
)
def test_a_url_may_name_a_unix_socket(url: str, path: str) -> None:
    assert socket_path(url) == path
    assert split_url(url).hostname == "localhost"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_method_that_has_a_body_says_that_there_is_none(method: str) -> None:
    assert b"\r\nContent-Length: 0\r\n" in head(method, "http://localhost/", (), None)
    assert b"Content-Length" not in head("DELETE", "http://localhost/", (), None)


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (("content-length", "4"), 5),
        (("Content-Length", "5, 5"), 5),
        (("Content-Length", "1"), None),
        (("Transfer-Encoding", "chunked"), 5),
        (("transfer-encoding", "gzip"), None),
    ],
)
def test_a_header_that_contradicts_the_body_is_refused(header: tuple[str, str], length: int | None) -> None:
    with pytest.raises(BadParameter, match=f"{header[0]}.*leave the header out"):
        head("POST", "http://localhost/", (header,), length)
    assert head("POST", "http://localhost/", (("Content-Length", "5"),), 5).count(b"Content-Length") == 1


def test_headers_given_replace_those_set_here() -> None:
    request = head("POST", "http://localhost/", (("host", "elsewhere"), ("X-Two", "2")), 5)
    assert b"Host: localhost" not in request
    assert b"host: elsewhere\r\nX-Two: 2\r\n" in request
    assert b"Content-Length: 5\r\n" in request


@pytest.mark.parametrize(
    ("method", "url", "headers", "named"),
    [
        ("GET", "http://localhost/", (("X", "a\r\nInjected: 1"),), "header 'X'"),
        ("GET", "http://localhost/", (("Authorization", "secret ü"),), "header 'Authorization'"),
        ("GET", "http://localhost/", (("Bad Name", "1"),), "header 'Bad Name'"),
        ("GET", "http://ümlaut/", (), "header 'Host'"),
        ("GET", "http://localhost/a b", (), "url 'http://localhost/a b'"),
        ("GET", "http://localhost/?q=ü", (), "url 'http://localhost/.q=ü'"),
        ("GE T", "http://localhost/", (), "method 'GE T'"),
        ("", "http://localhost/", (), "method ''"),
    ],
)
def test_what_cannot_stand_in_a_head_is_refused_by_name(
    method: str, url: str, headers: tuple[tuple[str, str], ...], named: str
) -> None:
    with pytest.raises(BadParameter, match=named) as refusal:
        head(method, url, headers, None)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "url", ["localhost:80", "ftp://localhost/", "http:///x", "http://localhost:port/", "http://localhost:0/"]
)
def test_what_is_not_an_http_url_is_refused(url: str) -> None:
    with pytest.raises(BadParameter, match="url"):
        split_url(url)


@pytest.mark.parametrize("user", ["somebody", "somebody:secret", ""])
def test_a_url_with_a_user_is_refused_without_saying_who(user: str) -> None:
    with pytest.raises(BadParameter, match="Authorization") as refusal:
        split_url(f"http://{user}@localhost/")
    assert "secret" not in str(refusal.value)


@given(st.lists(st.text(), min_size=1, max_size=3), st.integers(1, 20))
def test_a_pipeline_request_is_json_of_the_length_it_says_with_an_id_of_its_own(texts, count: int) -> None:
    bodies = pipeline_bodies(texts, "run-0")
    render = numbered([(b"%d\n" % length, body) for body, length in bodies], "run-0")
    seen = []
    for number in range(count):
        length, _, body = render().partition(b"\n")
        assert int(length) == len(body)
        message = json.loads(body)
        assert message["text"] == texts[number % len(texts)]
        seen.append(message["request_id"])
    assert len(set(seen)) == count
    assert all(request_id.startswith("run-0-") for request_id in seen)


def test_a_text_that_holds_the_mark_stays_as_it_is() -> None:
    ((body, _),) = pipeline_bodies(["about {request_id} and so on"], "p")
    assert json.loads(numbered([(b"", body)], "p")())["text"] == "about {request_id} and so on"


def test_without_a_name_there_is_english_prose() -> None:
    (text,) = load_corpus()
    assert len(text) > 100_000
    assert " the " in text


def test_a_file_is_one_text(tmp_path: Path) -> None:
    file = tmp_path / "novel.text"
    file.write_text("Grüße, world", encoding="utf-8")
    assert load_corpus(str(file)) == ("Grüße, world",)


def test_a_folder_gives_its_txt_files_in_order_of_name(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(name)
    assert load_corpus(str(tmp_path)) == ("a.txt", "b.txt")


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"latin\.txt is not UTF-8"):
        load_corpus(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "message"),
    [("missing", "does not exist"), ("empty", r"no \.txt file"), ("blank.txt", "no text")],
)
def test_a_corpus_without_text_is_named(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "blank.txt").write_text(" \n")
    with pytest.raises(CorpusError, match=f"{name}.*{message}"):
        load_corpus(str(tmp_path / name))


@given(st.text(min_size=1), st.integers(1, 500))
def test_a_text_is_cut_to_the_byte_but_for_a_split_character(text: str, size: int) -> None:
    encoded = cut(text, size).encode()
    assert size - 3 <= len(encoded) <= size
    assert (text + " " + text).encode().startswith(encoded[: len(text.encode())])


def test_a_short_text_is_repeated() -> None:
    assert cut("abc", 10) == "abc abc ab"
