"""Requests as bytes, rendered once but for the request_id of each, and the corpus of the texts they carry.

The texts are English prose that every Python has, or the user's own files.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from lab.errors import BadParameter, CorpusError
from services.wire.requests import EXPECTING_BODY

__all__ = [
    "ID_DIGITS",
    "MARK",
    "Render",
    "constant",
    "cut",
    "head",
    "load_corpus",
    "numbered",
    "pipeline_bodies",
    "sends_close",
    "socket_path",
    "split_url",
    "target_of",
]

Render = Callable[[], bytes]
"""A function that returns the bytes of the next request."""

ID_DIGITS = 10
MARK = "{request_id}"
"""What stands for the request_id in a body that is numbered."""

# RFC 9110, 5.1, 5.5 and 9.1; RFC 9112, 3.2. Bytes beyond ASCII, which are obsolete in a value, are left out.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_TARGET = re.compile(r"[!-~]+")
_VALUE = re.compile(r"[\t -~]*")
_UNIX = "unix:"


def split_url(url: str) -> SplitResult:
    """Split an http, https or grpc URL with a host, or `unix:/run/app.sock:/path`, whose host is localhost.

    Raises BadParameter for any other. A user and password are refused: the URL is written down beside every
    row.
    """
    if url.startswith(_UNIX):
        return urlsplit(f"http://localhost{target_of(url)}")._replace(scheme="unix")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise BadParameter(f"url {url!r} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https", "grpc") or not parts.hostname:
        raise BadParameter(f"url {url!r} needs http://, https:// or grpc:// and a host")
    if port == 0:
        raise BadParameter(f"url {url!r} names port 0, on which no server listens: name the server's")
    if parts.username is not None:
        raise BadParameter(
            f"url of {parts.hostname} holds a user, which results would keep: "
            "leave it out, and send a header Authorization"
        )
    return parts


def socket_path(url: str) -> str:
    """Return the path of the socket that a URL such as `unix:/run/app.sock:/path` names.

    Raises BadParameter for a URL that names none.
    """
    path = url.removeprefix(_UNIX).partition(":/")[0]
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path or "\0" in path:
        raise BadParameter(f"url {url!r} names no socket: write it as unix:/run/app.sock:/path")
    return path


def target_of(url: str) -> str:
    """Return what a request asks for: path and query as they stand in the URL, `/p?` too."""
    if url.startswith(_UNIX):
        target = "/" + url.removeprefix(_UNIX).partition(":/")[2]
    else:
        after = url.partition("://")[2]
        begin = min((found for found in map(after.find, "/?#") if found >= 0), default=len(after))
        target = after[begin:]
    target = target.partition("#")[0]
    return target if target.startswith("/") else f"/{target}"


def head(method: str, url: str, headers: Sequence[tuple[str, str]], length: int | None) -> bytes:
    """Return a request's head. `length` is the body's in bytes, None where there is no body.

    Host, User-Agent and Content-Length are set here where `headers` does not. Raises BadParameter for what
    cannot stand in a head, or contradicts the body.
    """
    parts = split_url(url)
    if length is None and method in EXPECTING_BODY:
        length = 0
    _check_framing(headers, length or 0)
    target = target_of(url)
    lines = {"host": ("Host", parts.netloc), "user-agent": ("User-Agent", "pipeline-lab")}
    if length is not None:
        lines["content-length"] = ("Content-Length", str(length))
    given = {name.lower() for name, _ in headers}
    fields = [pair for key, pair in lines.items() if key not in given] + list(headers)
    if not _TOKEN.fullmatch(method):
        raise BadParameter(f"method {method!r} is none that HTTP allows: a method is a word such as GET")
    if not _TARGET.fullmatch(target):
        raise BadParameter(f"url {url!r} holds what HTTP does not allow: write it as %20 and the like")
    for name, value in fields:
        if not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
            raise BadParameter(f"header {name!r} holds what HTTP does not allow: keep to plain ASCII")
    text = "".join(
        [f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {value}\r\n" for name, value in fields), "\r\n"]
    )
    return text.encode("ascii")


def sends_close(headers: Iterable[tuple[str, str]]) -> bool:
    """Tell whether these headers ask the server to close the connection after its answer."""
    tokens = ",".join(value for name, value in headers if name.lower() == "connection").lower().split(",")
    return "close" in (token.strip() for token in tokens)


def _check_framing(headers: Iterable[tuple[str, str]], length: int) -> None:
    """Check that no header gives the body another length. Raises BadParameter."""
    for name, value in headers:
        if name.lower() == "transfer-encoding":
            raise BadParameter(
                f"header {name}: {value} contradicts the body, which is sent as it is: leave the header out"
            )
        if name.lower() == "content-length" and value.strip() != str(length):
            raise BadParameter(
                f"header {name}: {value} contradicts the body of {length} bytes: leave the header out"
            )


def constant(request: bytes) -> Render:
    """Return a renderer that gives the same bytes every time."""
    return lambda: request


def numbered(heads_and_bodies: Sequence[tuple[bytes, bytes]], prefix: str) -> Render:
    """Return a renderer of requests in turn, each with its own request_id in place of the mark.

    The id is `prefix`, a dash and a number of ten digits; the heads' Content-Length counts it already.
    """
    pieces = []
    for request_head, body in heads_and_bodies:
        before, mark, after = body.rpartition(MARK.encode())  # the text may hold it too
        assert mark, "a numbered body holds the mark"
        pieces.append((request_head + before + prefix.encode() + b"-", after))
    count = itertools.count().__next__
    if len(pieces) == 1:
        begin, end = pieces[0]
        return lambda: b"%b%010d%b" % (begin, count(), end)
    turn = itertools.cycle(pieces).__next__

    def render() -> bytes:
        begin, end = turn()
        return b"%b%010d%b" % (begin, count(), end)

    return render


def pipeline_bodies(texts: Iterable[str], prefix: str) -> list[tuple[bytes, int]]:
    """Return the bodies that the pipeline takes, with the mark, and their lengths once it is replaced."""
    bodies = [json.dumps({"text": text, "request_id": MARK}, ensure_ascii=False).encode() for text in texts]
    growth = len(prefix) + 1 + ID_DIGITS - len(MARK)
    return [(body, len(body) + growth) for body in bodies]


def load_corpus(corpus: str | None = None) -> tuple[str, ...]:
    """Return the texts of a corpus: a file, a folder of .txt files, or `pydoc_data.topics` for None.

    Files are read as UTF-8, in order of name. Raises CorpusError, which names the file at fault.
    """
    if corpus is None:
        return (_topics(),)
    path = Path(corpus).expanduser()
    if not path.exists():
        raise CorpusError(f"corpus {corpus} does not exist: name a text file or a folder of .txt files")
    files = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise CorpusError(f"corpus {corpus} holds no .txt file: put one there, or name a file")
    return tuple(_read(file) for file in files)


def cut(text: str, size: int) -> str:
    """Return the first `size` bytes of the text in UTF-8, or fewer where a character would be split.

    A text that is too short is repeated, with a space between.
    """
    encoded = text.encode()
    if len(encoded) < size:
        encoded = b"".join(itertools.islice(itertools.repeat(encoded + b" "), size // (len(encoded) + 1) + 1))
    return encoded[:size].decode(errors="ignore")


@cache
def _topics() -> str:
    from pydoc_data.topics import topics  # 700 kB of source: only where it is used

    return " ".join(" ".join(topics[name].split()) for name in sorted(topics))


def _read(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{file} is not UTF-8 ({error.reason} at byte {error.start}): convert it"
        ) from error
    except OSError as error:
        raise CorpusError(f"{file} cannot be read: {error.strerror}") from error
    if not text.strip():
        raise CorpusError(f"{file} holds no text: remove it from the corpus, or fill it")
    return text
