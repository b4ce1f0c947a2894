"""What is a well-formed HTTP/1.1 request head, and what of it goes on. Bytes in, a head or a refusal out.

Two servers that read the same bytes differently can be made to see different requests. So nothing doubtful
is repaired here: what RFC 9112 does not plainly allow is refused, and what is forwarded is written anew.
"""

from __future__ import annotations

import re

from services.balancer.http.cache import BoundedCache

__all__ = ["CHUNKED", "Refusal", "RequestHead", "parse_head"]

CHUNKED = -1
"""The `length` of a body in chunked coding."""

MAX_FIELDS = 128


class Refusal(Exception):  # noqa: N818  (an answer more than an error)
    """A request that is not to be forwarded. `status` is the answer's, `detail` says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class RequestHead:
    """A request's head, freed of all that concerns only the connection it came on. Not to be changed."""

    def __init__(self, method: bytes, target: bytes, path: bytes, minor: int, start: bytes) -> None:
        self.method = method
        self.target = target
        """In origin form (`/path?query`), or `*`."""
        self.path = path
        """The target without its query."""
        self.minor = minor
        """1 for HTTP/1.1, 0 for HTTP/1.0."""
        self.keep_alive = minor == 1
        self.is_head = method == b"HEAD"
        self.lines = [start]
        """The lines that go on: the request line, and the headers as they came, without those above."""
        self.forwarded = b""
        """These lines as they go on, without the last line's end."""
        self.length = 0
        """Of the body in bytes, or CHUNKED."""
        self.sized = False
        """Whether the request says how long its body is, even if it is 0."""
        self.framing = b"\r\n\r\n"
        """How the body is framed, as it goes on if nothing changes that: from the last line to the end."""
        self.expects_continue = False
        self.forwarded_for = b""
        self.request_id = b""
        self.deadline_ms: int | None = None
        self._start = b""
        self._size = -1

    def expect_again(self, block: bytes) -> None:
        """Know requests with this head by the bytes it was read from, if it says how long the body is."""
        if self.length != CHUNKED:
            self._start = block + b"\r\n\r\n"
            self._size = len(self._start) + self.length

    def begins(self, data: bytes) -> bool:
        """Whether this is surely a request with the same head, all of it and nothing more."""
        return len(data) == self._size and data.startswith(self._start)


# What a header is to a balancer. Plain numbers: this is compared for every header of every request.
PLAIN, HOST, LENGTH, CONNECTION, DROPPED, CODING, EXPECT, UPGRADE, FORWARDED_FOR, REQUEST_ID, DEADLINE = (
    range(11)
)

_FIELDS = {
    b"host": HOST,
    b"content-length": LENGTH,
    b"connection": CONNECTION,
    b"transfer-encoding": CODING,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-request-id": REQUEST_ID,
    b"x-request-deadline-ms": DEADLINE,
    b"keep-alive": DROPPED,
    b"proxy-connection": DROPPED,
    b"proxy-authorization": DROPPED,
    b"te": DROPPED,
    b"trailer": DROPPED,
}
_NEVER_AGAIN = frozenset((FORWARDED_FOR, REQUEST_ID, DEADLINE))

# No `#`: what one server takes for a part of the path, the next drops with all that follows.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21\x22\x24-\x7e]+) HTTP/([0-9])\.([0-9])")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_AUTHORITY = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=-]+(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#@]+)([/?].*)?")
_ALLOWED = bytes(c for c in range(256) if c == 0x09 or (c >= 0x20 and c != 0x7F))
"""What may stand in a line: white space, visible characters and those beyond ASCII."""
_SLASH = ord("/")
NONSENSE = -1

MEMORABLE_BYTES = 1024

_heads: BoundedCache[bytes, RequestHead] = BoundedCache(1024)
"""Heads made of known lines only: most clients send the same over and over."""
_request_lines: BoundedCache[bytes, tuple[bytes, bytes, bytes, int, bytes]] = BoundedCache(1024)
_lines: BoundedCache[bytes, tuple[int, bytes, int]] = BoundedCache(4096)
"""Kind, value and number of header lines met before, but for those that differ from request to request."""


def parse_head(block: bytes) -> RequestHead:
    """The head in `block`, which is everything before the empty line. Raises Refusal."""
    return _heads.get(block) or _parse(block)


def _parse(block: bytes) -> RequestHead:
    lines = block.split(b"\r\n")
    if len(lines) > MAX_FIELDS + 1:
        raise Refusal(431, f"more than {MAX_FIELDS} headers")
    first = lines.pop(0)
    head = RequestHead(*(_request_lines.get(first) or _learn_request_line(first)))
    hosted, known = _headers(head, lines)
    if not hosted:
        if head.minor:
            raise Refusal(400, "no Host header")
        head.lines.append(b"Host:")  # what goes on is HTTP/1.1, which wants one
    if head.target[0] != _SLASH:
        _absolute(head)
    head.forwarded = b"\r\n".join(head.lines)
    if known and len(block) <= MEMORABLE_BYTES:
        head.expect_again(block)
        _heads.keep(block, head)
    return head


def _learn_request_line(line: bytes) -> tuple[bytes, bytes, bytes, int, bytes]:
    """Method, target, path, minor version, and the line as it goes on."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Refusal(400, "the first line is no request line, or a line end in it is not CR LF")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise Refusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method == b"CONNECT":
        raise Refusal(501, "CONNECT is not implemented")
    parts = method, target, target.partition(b"?")[0], int(minor), b"%b %b HTTP/1.1" % (method, target)
    return _request_lines.keep(line, parts) if len(line) <= MEMORABLE_BYTES else parts


def _headers(head: RequestHead, lines: list[bytes]) -> tuple[bool, bool]:
    """Sort the header lines into the head. Whether there is a Host, and whether all lines were known."""
    keep = head.lines.append
    hosted, all_known, options = False, True, b""
    for line in lines:
        known = _lines.get(line)
        if known is None:
            known = _learn(line)
            all_known = False
        kind, value, number = known
        if kind == PLAIN:
            keep(line)
        elif kind == HOST:
            if hosted:
                raise Refusal(400, "two Host headers")
            hosted = True
            keep(line)
        elif kind == LENGTH:
            if head.sized:
                raise Refusal(400, "two lengths, or a length beside a transfer coding")
            head.length, head.sized, head.framing = number, True, value
        elif kind == CONNECTION:
            options = options + b"," + value if options else value
        elif kind != DROPPED:
            _rare(head, kind, value, number)
    if options:
        _connection(head, options)
    return hosted, all_known


def _learn(line: bytes) -> tuple[int, bytes, int]:
    """The kind of a header line, what of its value matters, and its number if it is one.

    It is remembered if it may well come again.
    """
    if line.translate(None, _ALLOWED):
        raise Refusal(400, "a control character, or a line end that is not CR LF, in a header")
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise Refusal(400, "a header without colon or name, with a space between them, or folded")
    kind = _FIELDS.get(name.lower(), PLAIN)
    known = (kind, *_value(kind, value.strip(b" \t"))) if kind else (PLAIN, b"", 0)
    if kind in _NEVER_AGAIN or len(line) > MEMORABLE_BYTES:
        return known
    return _lines.keep(line, known)


def _value(kind: int, value: bytes) -> tuple[bytes, int]:
    if kind == HOST and not _AUTHORITY.fullmatch(value):
        raise Refusal(400, "a Host header that names no host")
    if kind == LENGTH:
        if not _DIGITS.fullmatch(value):
            raise Refusal(400, "a length that is no number")
        return b"\r\nContent-Length: %d\r\n\r\n" % int(value), int(value)
    if kind == DEADLINE:
        return value, int(value) if _DIGITS.fullmatch(value) else NONSENSE
    return value.lower() if kind == CONNECTION else value, 0


def _rare(head: RequestHead, kind: int, value: bytes, number: int) -> None:
    """Heed one of the headers that few requests have."""
    if kind == CODING:
        if head.sized or value.lower() != b"chunked" or not head.minor:
            raise Refusal(400, "a transfer coding that is not chunked, once, in HTTP/1.1, without a length")
        head.length, head.sized = CHUNKED, True
        head.framing = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    elif kind == EXPECT:
        if value.lower() != b"100-continue":
            raise Refusal(417, "an expectation other than 100-continue")
        head.expects_continue = bool(head.minor)
    elif kind == UPGRADE:
        raise Refusal(501, "Upgrade is not implemented")
    elif kind == FORWARDED_FOR:
        head.forwarded_for = head.forwarded_for + b", " + value if head.forwarded_for else value
    elif kind == REQUEST_ID:
        head.request_id = head.request_id or value
    elif kind == DEADLINE and number != NONSENSE:
        head.deadline_ms = number


def _connection(head: RequestHead, options: bytes) -> None:
    """Heed the options of the Connection header, and drop the headers it names."""
    names = {option.strip(b" \t") for option in options.split(b",")}
    if b"close" in names:
        head.keep_alive = False
    elif b"keep-alive" in names:
        head.keep_alive = True
    names -= {b"close", b"keep-alive", b"host"}  # Host is for whoever answers, whatever the client says
    if not names:
        return
    head.lines[1:] = _without(head.lines[1:], names)
    if b"x-forwarded-for" in names:
        head.forwarded_for = b""
    if b"x-request-id" in names:
        head.request_id = b""
    if b"x-request-deadline-ms" in names:
        head.deadline_ms = None


def _absolute(head: RequestHead) -> None:
    """A target in another form than `/path` into that form; the host it names replaces the Host header's."""
    if head.target == b"*" and head.method == b"OPTIONS":
        return
    match = _ABSOLUTE.fullmatch(head.target)
    if match is None or not _AUTHORITY.fullmatch(match.group(1)):
        raise Refusal(400, "a target that is neither a path nor an http:// URL")
    rest = match.group(2) or (b"*" if head.method == b"OPTIONS" else b"/")
    head.target = b"/" + rest if rest.startswith(b"?") else rest
    head.path = head.target.partition(b"?")[0]
    others = _without(head.lines[1:], {b"host"})
    head.lines = [b"%b %b HTTP/1.1" % (head.method, head.target), *others, b"Host: " + match.group(1)]


def _without(lines: list[bytes], names: set[bytes]) -> list[bytes]:
    return [line for line in lines if line.partition(b":")[0].lower() not in names]
