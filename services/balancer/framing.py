"""What is a well-formed HTTP/1.1 request head, and what of it goes on. Bytes in, a head or a refusal out.

Two servers that read the same bytes differently can be made to see different requests. So nothing doubtful
is repaired here: what RFC 9112 does not plainly allow is refused, and what is forwarded is written anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

__all__ = ["CHUNKED", "Refusal", "RequestHead", "parse_head"]

CHUNKED = -1
"""The `length` of a body in chunked coding."""

MAX_FIELDS = 128
MEMORABLE_BYTES = 2048
"""Heads up to this long are remembered, the last thousand of them: a client mostly sends the same again."""


class Refusal(Exception):  # noqa: N818  (an answer more than an error)
    """A request that is not to be forwarded. `status` is the answer's, `detail` says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(slots=True)
class RequestHead:
    """A request's head, freed of all that concerns only the connection it came on. Not to be changed."""

    method: bytes
    target: bytes
    """In origin form (`/path?query`), or `*`."""
    minor: int
    """1 for HTTP/1.1, 0 for HTTP/1.0."""
    lines: list[bytes] = field(default_factory=list)
    """The header lines to forward, as they came, Host among them; without those below and Content-Length."""
    length: int = 0
    """Of the body in bytes, or CHUNKED."""
    sized: bool = False
    """Whether the request says how long its body is, even if it is 0."""
    keep_alive: bool = True
    expects_continue: bool = False
    forwarded_for: bytes = b""
    request_id: bytes = b""
    deadline_ms: int | None = None
    path: bytes = b""
    """The target without its query."""
    forwarded: bytes = b""
    """Request line and header lines, as they go on, without the last line end."""
    framing: bytes = b""
    """How the body is framed, as it goes on if nothing changes that: from that line end to the empty line."""


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

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/([0-9])\.([0-9])")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_AUTHORITY = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=-]+(?::[0-9]*)?|\[[0-9A-Fa-f:.]+\](?::[0-9]*)?")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_ABSOLUTE = re.compile(rb"(?i:http)://([^/?#@]+)([/?].*)?")
_ALLOWED = bytes(c for c in range(256) if c == 0x09 or (c >= 0x20 and c != 0x7F))
"""What may stand in a line: white space, visible characters and those beyond ASCII."""

_kinds: dict[bytes, int] = {}
"""Names met so far, in the case they came in: most clients write the same few, and the check is spared."""
_MAX_KINDS = 4096


def parse_head(block: bytes) -> RequestHead:
    """The head in `block`, which is everything before the empty line. Raises Refusal."""
    return _remembered(block) if len(block) <= MEMORABLE_BYTES else _parse(block)


def _parse(block: bytes) -> RequestHead:
    lines = block.split(b"\r\n")
    # Whatever control characters are left beside the line ends: a bare CR or LF, a NUL …
    if len(block.translate(None, _ALLOWED)) != 2 * (len(lines) - 1):
        raise Refusal(400, "a control character, or a line end that is not CR LF, in the head")
    if len(lines) > MAX_FIELDS + 1:
        raise Refusal(431, f"more than {MAX_FIELDS} headers")
    head = _request_line(lines[0])
    host = _headers(head, lines)
    if head.target[0] != 0x2F:
        host = _absolute(head, host)
    if host is None:
        if head.minor:
            raise Refusal(400, "no Host header")
        head.lines.append(b"Host:")  # what goes on is HTTP/1.1, which wants one
    elif not _AUTHORITY.fullmatch(host):
        raise Refusal(400, "a Host header that names no host")
    head.path = head.target.partition(b"?")[0]
    head.forwarded = b"\r\n".join((b"%b %b HTTP/1.1" % (head.method, head.target), *head.lines))
    if head.length == CHUNKED:
        head.framing = b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    else:
        head.framing = b"\r\nContent-Length: %d\r\n\r\n" % head.length if head.sized else b"\r\n\r\n"
    return head


_remembered = lru_cache(maxsize=1024)(_parse)


def _request_line(line: bytes) -> RequestHead:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Refusal(400, "the first line is no request line")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise Refusal(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if method == b"CONNECT":
        raise Refusal(501, "CONNECT is not implemented")
    return RequestHead(method, target, int(minor), keep_alive=minor == b"1")


def _headers(head: RequestHead, lines: list[bytes]) -> bytes | None:
    """Sort the header lines into the head. The value of Host, if there is one."""
    kept = head.lines
    host: bytes | None = None
    options: list[bytes] = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        kind = _kinds.get(name)
        if kind is None:
            kind = _classify(name)
        if not colon:
            raise Refusal(400, "a header line without a colon")
        if kind == PLAIN:
            kept.append(line)
            continue
        value = value.strip(b" \t")
        if kind == HOST:
            if host is not None:
                raise Refusal(400, "two Host headers")
            host = value
            kept.append(line)
        elif kind == LENGTH:
            if head.sized or not _DIGITS.fullmatch(value):
                raise Refusal(400, "two lengths, a length beside a transfer coding, or one that is no number")
            head.length, head.sized = int(value), True
        elif kind == CONNECTION:
            options.append(value.lower())
        elif kind != DROPPED:
            _rare(head, kind, value)
    if options:
        _connection(head, b",".join(options))
    return host


def _rare(head: RequestHead, kind: int, value: bytes) -> None:
    """Heed one of the headers that few requests have."""
    if kind == CODING:
        if head.sized or value.lower() != b"chunked" or not head.minor:
            raise Refusal(400, "a transfer coding that is not chunked, once, in HTTP/1.1, without a length")
        head.length, head.sized = CHUNKED, True
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
    elif kind == DEADLINE and _DIGITS.fullmatch(value):
        head.deadline_ms = int(value)


def _classify(name: bytes) -> int:
    """What the header of that name is; names are remembered as they are met."""
    if not _TOKEN.fullmatch(name):
        raise Refusal(400, "a header name that is no token (a space before its colon, or a folded line?)")
    kind = _FIELDS.get(name.lower(), PLAIN)
    if len(_kinds) < _MAX_KINDS:
        _kinds[name] = kind
    return kind


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
    head.lines = _without(head.lines, names)
    if b"x-forwarded-for" in names:
        head.forwarded_for = b""
    if b"x-request-id" in names:
        head.request_id = b""
    if b"x-request-deadline-ms" in names:
        head.deadline_ms = None


def _absolute(head: RequestHead, host: bytes | None) -> bytes | None:
    """A target in another form than `/path` into that form; the host it names replaces the Host header's."""
    if head.target == b"*" and head.method == b"OPTIONS":
        return host
    match = _ABSOLUTE.fullmatch(head.target)
    if match is None or (host is None and head.minor):
        raise Refusal(400, "a target that is neither a path nor an http:// URL, or no Host header")
    host, rest = match.group(1), match.group(2) or b"/"
    head.target = rest if rest.startswith(b"/") else b"/" + rest
    head.lines = [*_without(head.lines, {b"host"}), b"Host: " + host]
    return host


def _without(lines: list[bytes], names: set[bytes]) -> list[bytes]:
    return [line for line in lines if line.partition(b":")[0].lower() not in names]
