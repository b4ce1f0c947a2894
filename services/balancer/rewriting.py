"""Heads as they go on: a request's towards an instance, an answer's towards the client. Pure."""

from __future__ import annotations

from http import HTTPStatus

from services.balancer.framing import CHUNKED, RequestHead
from services.wire import Headers

__all__ = ["UNTIL_CLOSE", "AnswerHead", "answer_head", "local_answer", "request_head"]

UNTIL_CLOSE = -2
"""The `length` of a body that ends where the connection does."""

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus
}
_BODILESS = frozenset((204, 304))

_dropped: dict[bytes, bool] = {}
"""Names of answers' headers met so far: whether they are hop-by-hop."""
_MAX_DROPPED = 4096


def request_head(head: RequestHead, client: bytes, via: bytes, request_id: bytes) -> bytes:
    """A request's head as an instance gets it, up to and including `X-Request-Deadline-Ms: `.

    What is missing is the deadline, which differs from try to try, and the empty line. `client` is the
    client's address, `via` this balancer's name, `request_id` for a request that has none.
    """
    length = head.length
    forwarded_for = head.forwarded_for + b", " + client if head.forwarded_for else client
    parts = [
        head.method,
        b" ",
        head.target,
        b" HTTP/1.1\r\n",
        b"\r\n".join(head.lines),
        b"\r\nX-Forwarded-For: ",
        forwarded_for,
        b"\r\nVia: 1.1 " if head.minor else b"\r\nVia: 1.0 ",
        via,
        b"\r\nX-Request-ID: ",
        head.request_id or request_id,
    ]
    if length == CHUNKED:
        parts.append(b"\r\nTransfer-Encoding: chunked")
    elif head.sized:
        parts.append(b"\r\nContent-Length: %d" % length)
    parts.append(b"\r\nX-Request-Deadline-Ms: ")
    return b"".join(parts)


class AnswerHead:
    """An answer's head as the client gets it, and how its body is to be framed there."""

    __slots__ = ("data", "length")

    def __init__(self, data: bytes, length: int) -> None:
        self.data = data
        self.length = length
        """Of the body in bytes, or CHUNKED, or UNTIL_CLOSE."""


def answer_head(
    status: int, headers: Headers, *, minor: int, keep_alive: bool, is_head: bool
) -> AnswerHead | None:
    """An instance's answer for a client of HTTP/1.`minor`; None if its transfer coding is not chunked.

    The body of a chunked answer, or of one without a length, goes on in chunks, or to an HTTP/1.0 client
    until the connection closes.
    """
    line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    parts = [line]
    length = UNTIL_CLOSE
    named: set[bytes] = set()
    for name, value in headers:
        drop = _dropped.get(name)
        if drop is None:
            drop = _classify(name)
        if not drop:
            parts += (name, b": ", value, b"\r\n")
            continue
        lower = name.lower()
        if lower == b"content-length":
            length = int(value)
        elif lower == b"transfer-encoding":
            if value.lower() != b"chunked":
                return None
        elif lower == b"connection" and value.lower() not in (b"close", b"keep-alive"):
            named |= {token.strip(b" \t").lower() for token in value.split(b",")}
    if named:
        kept = [header for header in headers if header[0].lower() not in named]
        return answer_head(
            status,
            [*kept, (b"content-length", b"%d" % length)] if length >= 0 else kept,
            minor=minor,
            keep_alive=keep_alive,
            is_head=is_head,
        )
    if length >= 0:
        parts.append(b"Content-Length: %d\r\n" % length)
    if is_head or status in _BODILESS:
        length = 0
    elif length < 0 and minor:
        length = CHUNKED
        parts.append(b"Transfer-Encoding: chunked\r\n")
    if not keep_alive or length == UNTIL_CLOSE:
        parts.append(b"Connection: close\r\n")
    elif not minor:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return AnswerHead(b"".join(parts), length)


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
    head = _STATUS_LINES[status] + b"Content-Type: %s\r\nContent-Length: %d\r\n" % (
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


def _classify(name: bytes) -> bool:
    """Whether the header of that name is not passed on as it is; names are remembered as they are met."""
    lower = name.lower()
    drop = lower in _HOP_BY_HOP or lower == b"content-length"
    if len(_dropped) < _MAX_DROPPED:
        _dropped[name] = drop
    return drop
