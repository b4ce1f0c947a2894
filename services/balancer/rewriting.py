"""Heads as they go on: a request's towards an instance, an answer's towards the client. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus

from services.balancer.framing import CHUNKED

__all__ = ["UNTIL_CLOSE", "AnswerHead", "answer_head", "length_line", "local_answer"]

UNTIL_CLOSE = -2
"""The `length` of a body that ends where the connection does."""

MEMORABLE_BYTES = 2048
"""Heads up to this long are remembered, the last thousand of them."""

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""What is not passed on as it is. Content-Length is written anew, in its place at the end."""
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}
_BODILESS = frozenset((204, 304))
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: [^\r\n\0]*)?")


class AnswerHead:
    """An answer's head as the client gets it, and how its body is to be framed there."""

    __slots__ = ("data", "expected", "length", "status")

    def __init__(self, data: bytes, status: int, length: int, expected: int) -> None:
        self.data = data
        self.status = status
        self.length = length
        """Of the body as it goes to the client: in bytes, or CHUNKED, or UNTIL_CLOSE."""
        self.expected = expected
        """How many bytes the instance said the body has, or less than 0 if it did not say."""


def answer_head(raw: bytes, minor: int, keep_alive: bool, is_head: bool) -> AnswerHead | None:
    """An instance's head, without its empty line, for a client of HTTP/1.`minor`.

    None if it cannot be passed on: because it is folded, or its transfer coding is not chunked. The body of
    a chunked answer, or of one without a length, goes on in chunks, or to an HTTP/1.0 client until the
    connection closes.
    """
    memorable = len(raw) <= MEMORABLE_BYTES
    return (_remembered if memorable else _rewrite)(raw, minor, keep_alive, is_head)


def _rewrite(raw: bytes, minor: int, keep_alive: bool, is_head: bool) -> AnswerHead | None:
    first, *lines = raw.split(b"\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        return None
    status = int(match.group(1))
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
    named = _named(lines)
    length = UNTIL_CLOSE
    for line in lines:
        name, _, value = line.partition(b":")
        lower = name.lower()
        if lower not in _HOP_BY_HOP:
            if not _NAME.fullmatch(name):
                return None
            if lower not in named:
                parts += (line, b"\r\n")
        elif lower == b"content-length":
            length = int(value)
        elif lower == b"transfer-encoding" and value.strip(b" \t").lower() != b"chunked":
            return None
    expected = length
    if length >= 0:
        parts.append(b"Content-Length: %d\r\n" % length)
    if is_head or status in _BODILESS:
        length = expected = 0
    elif length < 0 and minor:
        length = CHUNKED
        parts.append(b"Transfer-Encoding: chunked\r\n")
    if not keep_alive or length == UNTIL_CLOSE:
        parts.append(b"Connection: close\r\n")
    elif not minor:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return AnswerHead(b"".join(parts), status, length, expected)


_remembered = lru_cache(maxsize=1024)(_rewrite)


def _named(lines: list[bytes]) -> set[bytes]:
    """The headers that Connection names: they are for this hop alone."""
    names: set[bytes] = set()
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"connection":
            names |= {option.strip(b" \t").lower() for option in value.split(b",")}
    return names


def length_line(length: int) -> bytes:
    """The end of a request's head that has a body of so many bytes, from its last line's end on."""
    return b"\r\nContent-Length: %d\r\n\r\n" % length


def local_answer(
    status: int,
    body: bytes,
    *,
    content_type: str = "application/json",
    keep_alive: bool,
    minor: int = 1,
    is_head: bool = False,
    retry_after_s: int | None = None,
) -> bytes:
    """An answer that the balancer gives itself."""
    head = _STATUS_LINES[status] + b"Content-Type: %b\r\nContent-Length: %d\r\n" % (
        content_type.encode(),
        len(body),
    )
    if retry_after_s is not None:
        head += b"Retry-After: %d\r\n" % retry_after_s
    if not keep_alive:
        head += b"Connection: close\r\n"
    elif not minor:
        head += b"Connection: keep-alive\r\n"
    return head + b"\r\n" + (b"" if is_head else body)
