"""A request's head and body on their way to an instance. Bytes in, bytes or a refusal out.

Two servers that read the same bytes differently can be made to see different requests. So nothing doubtful
is repaired here: what RFC 9112 does not plainly allow is refused, and what is forwarded is written anew.
Heads and lines met before are remembered (BoundedCache): most clients send the same over and over.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv6Address
from typing import Generic, TypeVar

__all__ = ["CHUNKED", "BoundedCache", "Refusal", "RequestHead", "Upload", "length_line", "parse_head"]

CHUNKED = -1
"""The `length` of a body in chunked coding."""

MAX_FIELDS = 128
MEMORABLE_BYTES = 1024
"""Lines and heads up to this long are remembered."""


K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(dict[K, V], Generic[K, V]):
    """A cache that keeps up to `limit` results of a pure function, and then begins anew.

    Beginning anew costs what a few common entries cost to compute again, once in `limit` new ones; keeping
    them in order of use would cost something every time.
    """

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def keep(self, key: K, value: V) -> V:
        """Remember the value, and return it."""
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value


class KnownLines(BoundedCache[bytes, tuple[int, bytes, int]]):
    """Header lines met before, each with its kind, what of its value matters, and its number if it is one.

    A line that is new is learned as it is looked up, which raises what learning raises. Kept are those that
    may well come again: no long ones, and none of the kinds that differ from request to request.
    """

    __slots__ = ("_changing", "_learn", "learned")

    def __init__(
        self, learn: Callable[[bytes], tuple[int, bytes, int]], changing: frozenset[int] = frozenset()
    ) -> None:
        super().__init__(4096)
        self._learn = learn
        self._changing = changing
        self.learned = 0
        """How many lines were new: what is made of lines that were not may be remembered as a whole."""

    def __missing__(self, line: bytes) -> tuple[int, bytes, int]:
        self.learned += 1
        known = self._learn(line)
        if known[0] in self._changing or len(line) > MEMORABLE_BYTES:
            return known
        return self.keep(line, known)


class Refusal(Exception):  # noqa: N818  (an answer more than an error)
    """A request that is not to be forwarded: the `status` of the response, and the `detail` that says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class RequestHead:
    """A request's head, freed of all that concerns only the connection it came on. Treat it as frozen."""

    # Defaults, so that a head costs no more than what it sets.
    hostless = False
    """Whether no Host goes on, which HTTP/1.0 allows: the instance, asked in HTTP/1.1, needs one."""
    upgrade = False
    """Whether the client asks for a websocket, and the lines that go on do too."""
    withheld: tuple[bytes, ...] = ()
    """The header lines that Connection keeps from going on: the balancer itself heeds some of them."""

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
        """The lines that go on: the request line, and the headers as they came, without those read here."""
        self.forwarded = b""
        """These lines as they go on, without the last line's end."""
        self.length = 0
        """Length of the body in bytes, or CHUNKED."""
        self.sized = False
        """Whether the request says how long its body is, even if that is 0."""
        self.framing = b"\r\n\r\n"
        """The end of the head as it goes on, which says how the body is framed."""
        self.expects_continue = False
        self.forwarded_for = b""
        self.request_id = b""
        self.deadline_ms: int | None = None
        self._start = b""
        self._size = -1

    def expect_again(self, block: bytes) -> None:
        """Let `begins` know this head by the bytes it was read from, unless the body is chunked."""
        if self.length != CHUNKED:
            self._start = block + b"\r\n\r\n"
            self._size = len(self._start) + self.length

    def begins(self, data: bytes) -> bool:
        """Return whether `data` is a request with the same head, all of it and nothing more."""
        return len(data) == self._size and data.startswith(self._start)


# Kinds of headers. Plain numbers: the kind is compared for every header of every request.
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
    b"http2-settings": DROPPED,
    b"te": DROPPED,
    b"trailer": DROPPED,
}
_NEVER_AGAIN = frozenset((FORWARDED_FOR, REQUEST_ID, DEADLINE))

# No `#`: what one server takes for a part of the path, the next drops with all that follows.
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21\x22\x24-\x7e]+) HTTP/([0-9])\.([0-9])")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LABEL = rb"(?:[A-Za-z0-9_~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
_AUTHORITY = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|%b(?:\.%b)*\.?)(?::([0-9]*))?" % (_LABEL, _LABEL))
"""A host and a port: of the first group an IPv6 address, of the second the port."""
_DIGITS = re.compile(rb"[0-9]{1,18}")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)([/?].*)?")
_ALLOWED = bytes(c for c in range(256) if c == 0x09 or (c >= 0x20 and c != 0x7F))
"""Characters allowed in a line: white space, visible characters and those beyond ASCII."""
_SLASH = ord("/")
NONSENSE = -1
WEBSOCKET = b"websocket"
"""The only protocol that a connection is switched to."""
_LOWERED = frozenset((CONNECTION, UPGRADE))
_NO_HEADERS = frozenset((b"", b"close", b"keep-alive", b"upgrade", b"host"))
"""Options of Connection that name no header to drop: Host is for the server that answers."""
_PORT_DIGITS = 5

_heads: BoundedCache[bytes, RequestHead] = BoundedCache(1024)
"""Heads made of known lines only."""
_request_lines: BoundedCache[bytes, tuple[bytes, bytes, bytes, int, bytes]] = BoundedCache(1024)


def parse_head(block: bytes) -> RequestHead:
    """Parse the head in `block`, which is everything before the empty line. Raises Refusal."""
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
        head.hostless = True
    if head.target[0] != _SLASH:
        _absolute(head)
    head.forwarded = b"\r\n".join(head.lines)
    if known and len(block) <= MEMORABLE_BYTES:
        head.expect_again(block)
        _heads.keep(block, head)
    return head


def _learn_request_line(line: bytes) -> tuple[bytes, bytes, bytes, int, bytes]:
    """Return method, target, path, minor version, and the line as it goes on. Raises Refusal."""
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
    """Sort the header lines into the head. Return whether there is a Host, and whether all were known."""
    keep = head.lines.append
    hosted, options, learned = False, b"", _lines.learned
    for line in lines:
        kind, value, number = _lines[line]
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
    if head.upgrade:
        _ask_for_websocket(head, options)
    return hosted, _lines.learned == learned


def _learn(line: bytes) -> tuple[int, bytes, int]:
    """Return the kind of a header line, what of its value matters, and its number. Raises Refusal."""
    if line.translate(None, _ALLOWED):
        raise Refusal(400, "a control character, or a line end that is not CR LF, in a header")
    name, colon, value = line.partition(b":")
    if not colon or not _TOKEN.fullmatch(name):
        raise Refusal(400, "a header without colon or name, with a space between them, or folded")
    kind = _FIELDS.get(name.lower(), PLAIN)
    return (kind, *_value(kind, value.strip(b" \t"))) if kind else (PLAIN, b"", 0)


_lines = KnownLines(_learn, _NEVER_AGAIN)


def _value(kind: int, value: bytes) -> tuple[bytes, int]:
    if kind == HOST and not _is_authority(value):
        raise Refusal(400, "a Host header that names no host")
    if kind == LENGTH:
        if not _DIGITS.fullmatch(value):
            raise Refusal(400, "a length that is no number")
        return b"\r\nContent-Length: %d\r\n\r\n" % int(value), int(value)
    if kind == DEADLINE:
        parts = (part.strip(b" \t") for part in value.split(b","))  # several lines may have been joined
        return value, min((int(part) for part in parts if _DIGITS.fullmatch(part)), default=NONSENSE)
    return value.lower() if kind in _LOWERED else value, 0


def _is_authority(value: bytes) -> bool:
    """Tell whether a value is a host, by its name or address, with or without a port."""
    match = _AUTHORITY.fullmatch(value)
    if match is None:
        return False
    address, port = match.groups(b"")
    if address:
        try:
            IPv6Address(address.decode("ascii"))
        except AddressValueError:
            return False
    zeros, digits = port[:-_PORT_DIGITS], port[-_PORT_DIGITS:]
    return not port or (int(digits) < 65536 and not zeros.strip(b"0"))


def _rare(head: RequestHead, kind: int, value: bytes, number: int) -> None:
    """Act on one of the headers that few requests have."""
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
        protocols = (protocol.strip(b" \t") for protocol in value.split(b","))
        head.upgrade = head.upgrade or WEBSOCKET in protocols
    elif kind == FORWARDED_FOR:
        if not value:
            head.withheld += (b"X-Forwarded-For:",)
        head.forwarded_for = head.forwarded_for + b", " + value if head.forwarded_for else value
    elif kind == REQUEST_ID:
        head.request_id = head.request_id or value
    elif kind == DEADLINE and number != NONSENSE:
        head.deadline_ms = number if head.deadline_ms is None else min(number, head.deadline_ms)


def _connection(head: RequestHead, options: bytes) -> None:
    """Act on the options of the Connection header, and drop the headers it names."""
    names = {option.strip(b" \t") for option in options.split(b",")}
    if b"close" in names:
        head.keep_alive = False
    elif b"keep-alive" in names:
        head.keep_alive = True
    head.upgrade = head.upgrade and b"upgrade" in names
    names -= _NO_HEADERS
    if not names:
        return
    lines = head.lines[1:]
    head.lines[1:] = _without(lines, names)
    head.withheld += tuple(line for line in lines if line not in head.lines)
    if b"x-forwarded-for" in names and head.forwarded_for:
        head.withheld += (b"X-Forwarded-For: " + head.forwarded_for,)
        head.forwarded_for = b""
    if b"x-request-id" in names:
        head.request_id = b""
    if b"x-request-deadline-ms" in names:
        head.deadline_ms = None


def _ask_for_websocket(head: RequestHead, options: bytes) -> None:
    """Have the head ask the instance for a websocket, if such a request may: else to ask is to no effect."""
    head.upgrade = bool(options and head.minor and head.method == b"GET" and not head.length)
    if head.upgrade:
        head.lines += (b"Connection: Upgrade", b"Upgrade: websocket")


def _absolute(head: RequestHead) -> None:
    """Turn a target in another form into `/path`; the host it names replaces the Host header's."""
    if head.target == b"*" and head.method == b"OPTIONS":
        return
    match = _ABSOLUTE.fullmatch(head.target)
    if match is None or not _is_authority(match.group(1)):
        raise Refusal(400, "a target that is neither a path nor an http:// URL")
    head.hostless = False
    rest = match.group(2) or (b"*" if head.method == b"OPTIONS" else b"/")
    head.target = b"/" + rest if rest.startswith(b"?") else rest
    head.path = head.target.partition(b"?")[0]
    others = _without(head.lines[1:], {b"host"})
    head.lines = [b"%b %b HTTP/1.1" % (head.method, head.target), *others, b"Host: " + match.group(1)]


def _without(lines: list[bytes], names: set[bytes]) -> list[bytes]:
    return [line for line in lines if line.partition(b":")[0].lower() not in names]


def length_line(length: int) -> bytes:
    """Return the end of a request's head, from its last line's end on, for a body of `length` bytes."""
    return b"\r\nContent-Length: %d\r\n\r\n" % length


class Upload:
    """A body too long to be kept, passed on as it comes, each piece once: it cannot be sent anew."""

    __slots__ = ("_chunked", "_unsent", "whole")

    def __init__(self, length: int, body: bytes, whole: bool) -> None:
        """Begin with `body`, what has come so far of a body of this `length` in bytes, or CHUNKED."""
        self._chunked = length == CHUNKED
        self._unsent = body
        self.whole = whole
        """Whether all of the body has come."""

    def add(self, data: bytes, last: bool) -> None:
        """Add a piece that has come, and whether it is the last."""
        self._unsent += data
        self.whole = last

    def piece(self) -> bytes:
        """Return what is still to be sent, as it goes to the instance; the same again until `sent`."""
        data = self._unsent
        if not self._chunked:
            return data
        return (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if self.whole else b"")

    def sent(self) -> None:
        """Forget the piece, which is on its way."""
        self._unsent = b""
