"""A response's head and body on their way to the client, and responses of the balancer's own. Pure."""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from services.balancer.http.request import CHUNKED, MEMORABLE_BYTES, WEBSOCKET, BoundedCache, KnownLines

__all__ = [
    "UNTIL_CLOSE",
    "Download",
    "ResponseHead",
    "local_response",
    "rewrite_head",
    "rewrite_interim",
    "rewrite_switch",
]

UNTIL_CLOSE = -2
"""The `length` of a body that ends where the connection does."""

HELD_BYTES = 16 * 1024
"""A response up to this long is passed on in one piece."""

# Kinds of headers of a response.
PLAIN, DROPPED, LENGTH, CHUNKS, CONNECTION, UPGRADE = range(6)

_FIELDS = {
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"keep-alive": DROPPED,
    b"proxy-authenticate": DROPPED,
    b"proxy-connection": DROPPED,
    b"te": DROPPED,
    b"trailer": DROPPED,
    b"transfer-encoding": CHUNKS,
    b"upgrade": UPGRADE,
}
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %b" % (status, status.phrase.encode()) for status in HTTPStatus}
NO_CONTENT = 204
_BODILESS = frozenset((NO_CONTENT, 304))
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: [^\r\n\0]*)?")


class ResponseHead:
    """A response's head as the client gets it, and how its body is framed there."""

    __slots__ = ("data", "expected", "length", "status")

    def __init__(self, data: bytes, status: int, length: int, expected: int) -> None:
        self.data = data
        self.status = status
        self.length = length
        """Length of the body as it goes to the client: in bytes, or CHUNKED, or UNTIL_CLOSE."""
        self.expected = expected
        """How many bytes the instance said the body has, or less than 0 if it did not say."""


_heads: BoundedCache[tuple[bytes, int, bool, bool], ResponseHead] = BoundedCache(1024)
"""Heads made of known lines only."""
_starts: BoundedCache[bytes, tuple[int, bytes]] = BoundedCache(256)


def rewrite_head(raw: bytes, minor: int, keep_alive: bool, is_head: bool) -> ResponseHead | None:
    """Rewrite an instance's head, given without its empty line, for a client of HTTP/1.`minor`.

    Returns None for a head that cannot be passed on: it is folded, or its transfer coding is not chunked,
    once. The body of a chunked response, or of one without a length, goes on in chunks, or to an HTTP/1.0
    client until the connection closes.
    """
    key = (raw, minor, keep_alive, is_head)
    head = _heads.get(key)
    if head is not None:
        return head
    try:
        head, known = _rewrite(*key)
    except ValueError:
        return None
    if known and len(raw) <= MEMORABLE_BYTES:
        _heads.keep(key, head)
    return head


def _rewrite(raw: bytes, minor: int, keep_alive: bool, is_head: bool) -> tuple[ResponseHead, bool]:
    """Return the head for the client, and whether all its lines were known. Raises ValueError."""
    lines = raw.split(b"\r\n")
    first = lines.pop(0)
    status, start = _starts.get(first) or _learn_start(first)
    kept = [start]
    keep = kept.append
    length, named, stated, coded, learned = UNTIL_CLOSE, b"", b"", False, _lines.learned
    for line in lines:
        kind, value, number = _lines[line]
        if kind == PLAIN:
            keep(line)
        elif kind == LENGTH:
            length, stated = number, value
        elif kind == CONNECTION:
            named = named + b"," + value if named else value
        elif kind == CHUNKS:
            if coded:
                raise ValueError("a transfer coding twice")
            coded = True
    if named not in _NAMES_NOTHING:
        kept[1:] = _without(kept[1:], named)
    expected = length
    if stated and status != NO_CONTENT:  # which must not state any (RFC 9110, 8.6)
        kept.append(stated)
    if is_head or status in _BODILESS:
        length = expected = 0
    elif length < 0 and minor:
        length = CHUNKED
        kept.append(b"Transfer-Encoding: chunked")
    if not keep_alive or length == UNTIL_CLOSE:
        kept.append(b"Connection: close")
    elif not minor:
        kept.append(b"Connection: keep-alive")
    kept.append(b"\r\n")
    return ResponseHead(b"\r\n".join(kept), status, length, expected), _lines.learned == learned


def rewrite_interim(raw: bytes) -> bytes:
    """Rewrite the head of an interim answer for the client: empty if it cannot be passed on."""
    try:
        lines, _ = _interim(raw)
    except ValueError:
        return b""
    return b"\r\n".join((*lines, b"", b""))


def rewrite_switch(raw: bytes) -> bytes | None:
    """Rewrite the head of a 101 for the client. Returns None unless the switch is to websocket."""
    try:
        lines, protocols = _interim(raw)
    except ValueError:
        return None
    if protocols != [WEBSOCKET]:
        return None
    return b"\r\n".join((*lines, b"Connection: Upgrade", b"Upgrade: websocket", b"", b""))


def _interim(raw: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the lines that go on of a head without a body, and the protocols of its Upgrade.

    Raises ValueError.
    """
    first, *lines = raw.split(b"\r\n")
    _, start = _starts.get(first) or _learn_start(first)
    known = [(line, *_lines[line]) for line in lines]
    named = b",".join(value for _, kind, value, _ in known if kind == CONNECTION)
    kept = [line for line, kind, _, _ in known if kind == PLAIN]
    return [start, *_without(kept, named)], [value for _, kind, value, _ in known if kind == UPGRADE]


def _learn_start(line: bytes) -> tuple[int, bytes]:
    """Return the status in a status line, and that line as it goes on. Raises ValueError."""
    match = _STATUS.fullmatch(line)
    if match is None:
        raise ValueError("no status line")
    status = int(match.group(1))
    return _starts.keep(line, (status, _STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status))


def _learn(line: bytes) -> tuple[int, bytes, int]:
    """Return the kind of a header line, what of its value matters, and its number if it is one.

    Raises ValueError for a line that cannot be passed on.
    """
    name, _, value = line.partition(b":")
    if not _NAME.fullmatch(name):
        raise ValueError("a folded header")
    kind = _FIELDS.get(name.lower(), PLAIN)
    value, number = value.strip(b" \t").lower() if kind else b"", 0
    if kind == CHUNKS and value != b"chunked":
        raise ValueError("a transfer coding that was not asked for")
    if kind == LENGTH:
        number = int(value)
        value = b"Content-Length: %d" % number
    return kind, value, number


_lines = KnownLines(_learn)


_NAMES_NOTHING = (b"", b"close", b"keep-alive")


def _without(lines: list[bytes], named: bytes) -> list[bytes]:
    """Return the lines without those that the Connection header names: they are for this hop only."""
    names = {option.strip(b" \t") for option in named.split(b",")}
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


class Download:
    """A response that comes in several pieces: takes its body as it comes, gives what the client gets."""

    __slots__ = ("_begun", "_out", "_received", "head")

    def __init__(self, head: ResponseHead) -> None:
        self.head = head
        self._out = [head.data]
        self._received = 0
        self._begun = False

    @property
    def fits(self) -> bool:
        """Whether the body, if it is over now, was as long as its head says."""
        return self.head.expected < 0 or self.head.expected == self._received

    def add(self, chunk: bytes) -> None:
        """Add a piece of the body."""
        self._received += len(chunk)
        if self.head.length == CHUNKED:
            self._out += (b"%x\r\n" % len(chunk), chunk, b"\r\n")
        else:
            self._out.append(chunk)

    def ready(self) -> bytes:
        """Take what is to be passed on by now, if anything. A short response is begun once it is whole."""
        if not self._begun and 0 <= self.head.length <= HELD_BYTES:
            return b""
        self._begun = True
        data = b"".join(self._out)
        self._out.clear()
        return data

    def last(self) -> bytes:
        """Return the rest, once the response is whole."""
        if self.head.length == CHUNKED:
            self._out.append(b"0\r\n\r\n")
        return b"".join(self._out)


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()


def local_response(
    status: int,
    body: bytes,
    *,
    now: float,
    content_type: str = "application/json",
    keep_alive: bool,
    minor: int = 1,
    is_head: bool = False,
    retry_after_s: int | None = None,
    more: bytes = b"",
) -> bytes:
    """Return a response that the balancer gives itself at `now`, in seconds of time.time.

    `more` is further header lines, each with its line end.
    """
    head = b"%b\r\nDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b" % (
        _STATUS_LINES[status],
        _date(int(now)),
        content_type.encode(),
        len(body),
        more,
    )
    if retry_after_s is not None:
        head += b"Retry-After: %d\r\n" % retry_after_s
    if not keep_alive:
        head += b"Connection: close\r\n"
    elif not minor:
        head += b"Connection: keep-alive\r\n"
    return head + b"\r\n" + (b"" if is_head else body)
