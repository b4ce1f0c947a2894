"""The kinds of input that balancers are compared by: bytes of requests, and of an instance's answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ANSWERS", "REQUESTS", "Kind"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of input. `shows` makes a remark of what the instance and the client have seen."""

    name: str
    request: bytes
    answer: bytes = b""
    """What the instance answers to it, and then closes the connection where `ends`."""
    ends: bool = False
    shows: Callable[[bytes, bytes], str] | None = None


def _host_seen(seen: bytes, _: bytes) -> str:
    found = re.search(rb"\r\n(?i:host):[ \t]*([^\r]*)\r\n", seen)
    if found is None:
        return "no Host goes on" if seen else ""
    return (
        "its Host is the instance's"
        if found[1].startswith(b"127.0.0.1:")
        else f"Host {found[1].decode('latin-1') or 'empty'}"
    )


def _target_seen(seen: bytes, _: bytes) -> str:
    return seen.partition(b" ")[2].partition(b" ")[0].decode("latin-1")


def _upgrade_seen(seen: bytes, _: bytes) -> str:
    return "Upgrade goes on" if re.search(rb"\r\n(?i:upgrade):", seen) else ""


def _get(lines: bytes = b"", start: bytes = b"GET /plain HTTP/1.1", host: bytes = b"Host: x\r\n") -> bytes:
    return start + b"\r\n" + host + lines + b"\r\n"


def _post(lines: bytes, body: bytes = b"hello") -> bytes:
    return _get(lines, b"POST /plain HTTP/1.1") + body


_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_SOCKET = b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

REQUESTS = (
    Kind("a plain GET", _get()),
    Kind("two GETs at once", _get() * 2),
    Kind("a method that few know (PROPFIND)", _get(start=b"PROPFIND /plain HTTP/1.1")),
    Kind("TRACE", _get(start=b"TRACE /plain HTTP/1.1")),
    Kind("CONNECT", _get(start=b"CONNECT x:80 HTTP/1.1", host=b"Host: x:80\r\n")),
    Kind("OPTIONS *", _get(start=b"OPTIONS * HTTP/1.1")),
    Kind("`http://` in the target", _get(start=b"GET http://y/plain HTTP/1.1"), shows=_host_seen),
    Kind("`https://` in the target", _get(start=b"GET https://y/plain HTTP/1.1"), shows=_host_seen),
    Kind("`ftp://` in the target", _get(start=b"GET ftp://y/plain HTTP/1.1"), shows=_host_seen),
    Kind("a fragment in the target", _get(start=b"GET /plain#a HTTP/1.1"), shows=_target_seen),
    Kind("a blank in the target", _get(start=b"GET /pl ain HTTP/1.1"), shows=_target_seen),
    Kind("a byte beyond ASCII in the target", _get(start=b"GET /pl\xe4in HTTP/1.1")),
    Kind("HTTP/1.2", _get(start=b"GET /plain HTTP/1.2")),
    Kind("HTTP/2.0", _get(start=b"GET /plain HTTP/2.0")),
    Kind("HTTP/0.9", b"GET /plain\r\n\r\n"),
    Kind("not HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    Kind("HTTP/1.0 without Host", _get(start=b"GET /plain HTTP/1.0", host=b""), shows=_host_seen),
    Kind("HTTP/1.1 without Host", _get(host=b"")),
    Kind("two Hosts", _get(host=b"Host: x\r\nHost: y\r\n"), shows=_host_seen),
    Kind("an empty Host", _get(host=b"Host:\r\n")),
    Kind("a port above 65535 in Host", _get(host=b"Host: x:65536\r\n")),
    Kind("an empty label in Host", _get(host=b"Host: a..b\r\n")),
    Kind("a bad IPv6 address in Host", _get(host=b"Host: [:::]\r\n")),
    Kind("a user in Host", _get(host=b"Host: a@x\r\n")),
    Kind("a path in Host", _get(host=b"Host: x/y\r\n")),
    Kind(
        "`Upgrade: h2c`",
        _get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n"),
        shows=_upgrade_seen,
    ),
    Kind(
        "`Upgrade: websocket`",
        _get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + _SOCKET, b"GET /websocket HTTP/1.1"),
    ),
    Kind(
        "`Upgrade` to an unknown protocol",
        _get(b"Connection: Upgrade\r\nUpgrade: irc\r\n"),
        shows=_upgrade_seen,
    ),
    Kind("`Expect: 100-continue`", _post(b"Expect: 100-continue\r\nContent-Length: 5\r\n")),
    Kind("another expectation", _post(b"Expect: 200-maybe\r\nContent-Length: 5\r\n")),
    Kind("a length", _post(b"Content-Length: 5\r\n")),
    Kind("chunks", _post(_CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")),
    Kind("chunks with extensions", _post(_CHUNKED, b"5;a=b\r\nhello\r\n0\r\n\r\n")),
    Kind("chunks and a trailer", _post(_CHUNKED, b"5\r\nhello\r\n0\r\nA: b\r\n\r\n")),
    Kind(
        "chunks and `Content-Length` as a trailer",
        _post(_CHUNKED, b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
    ),
    Kind("a bad chunk size", _post(_CHUNKED, b"x\r\nhello\r\n0\r\n\r\n")),
    Kind("a chunk longer than it says", _post(_CHUNKED, b"4\r\nhello\r\n0\r\n\r\n")),
    Kind("a chunk size with a bare LF", _post(_CHUNKED, b"5\nhello\r\n0\r\n\r\n")),
    Kind("a length and chunks", _post(b"Content-Length: 5\r\n" + _CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")),
    Kind("two lengths that agree", _post(b"Content-Length: 5\r\nContent-Length: 5\r\n")),
    Kind("two lengths that differ", _post(b"Content-Length: 5\r\nContent-Length: 4\r\n")),
    Kind("a list of lengths", _post(b"Content-Length: 5, 5\r\n")),
    Kind("a length with a plus", _post(b"Content-Length: +5\r\n")),
    Kind("a length below 0", _post(b"Content-Length: -5\r\n")),
    Kind("`chunked` in two headers", _post(_CHUNKED * 2, b"5\r\nhello\r\n0\r\n\r\n")),
    Kind("`gzip, chunked`", _post(b"Transfer-Encoding: gzip, chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n")),
    Kind("`identity`", _post(b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n")),
    Kind("chunks in HTTP/1.0", _get(_CHUNKED, b"POST /plain HTTP/1.0") + b"5\r\nhello\r\n0\r\n\r\n"),
    Kind("a blank before the colon", _get(b"A : b\r\n")),
    Kind("a folded header", _get(b"A: b\r\n c\r\n")),
    Kind("a header without a colon", _get(b"Abc\r\n")),
    Kind("a NUL in a header", _get(b"A: b\0c\r\n")),
    Kind("a bare CR in a header", _get(b"A: b\rc\r\n")),
    Kind("line ends of LF alone", _get().replace(b"\r\n", b"\n")),
    Kind("empty lines before the request", b"\r\n\r\n" + _get()),
    Kind("a head of 100 kB", _get(b"A: " + b"b" * 100_000 + b"\r\n")),
    Kind("1,000 headers", _get(b"A: b\r\n" * 1000)),
    Kind("a length over the limit of 64 MiB", _post(b"Content-Length: 67108865\r\n", b"")),
)


def _answered(name: str, answer: bytes, *, ends: bool = False) -> Kind:
    path = re.sub(rb"[^a-z0-9]+", b"-", name.lower().encode())
    return Kind(name, _get(start=b"GET /answer/" + path + b" HTTP/1.1"), answer, ends)


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKS = b"\r\n5\r\nhello\r\n0\r\n\r\n"

ANSWERS = (
    _answered("an answer with a length", _OK + b"Content-Length: 5\r\n\r\nhello"),
    _answered("an answer in chunks", _OK + _CHUNKED + _CHUNKS),
    _answered("an answer that ends with the connection", _OK + b"\r\nhello", ends=True),
    _answered("an answer of HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nhello", ends=True),
    _answered("100 before the answer", b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Content-Length: 0\r\n\r\n"),
    _answered(
        "103 before the answer",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _OK + b"Content-Length: 0\r\n\r\n",
    ),
    _answered(
        "101 that nobody asked for",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    ),
    _answered("chunks, and a trailer after them", _OK + _CHUNKED + b"\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
    _answered(
        "chunks, and `Content-Length` after them",
        _OK + _CHUNKED + b"\r\n5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    ),
    _answered("`chunked` in two headers of the answer", _OK + _CHUNKED * 2 + _CHUNKS),
    _answered("`gzip, chunked` in the answer", _OK + b"Transfer-Encoding: gzip, chunked\r\n" + _CHUNKS),
    _answered("a length and chunks in the answer", _OK + b"Content-Length: 5\r\n" + _CHUNKED + _CHUNKS),
    _answered(
        "two lengths that agree in the answer", _OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"
    ),
    _answered(
        "two lengths that differ in the answer", _OK + b"Content-Length: 5\r\nContent-Length: 4\r\n\r\nhello"
    ),
    _answered("a length that is no number", _OK + b"Content-Length: five\r\n\r\nhello"),
    _answered("a bad chunk size in the answer", _OK + _CHUNKED + b"\r\nx\r\nhello\r\n0\r\n\r\n"),
    _answered("a body shorter than its length", _OK + b"Content-Length: 9\r\n\r\nhello", ends=True),
    _answered("a body longer than its length", _OK + b"Content-Length: 4\r\n\r\nhello"),
    _answered("204 with a body", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
    _answered("a folded header in the answer", _OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    _answered("a header without a colon in the answer", _OK + b"Abc\r\nContent-Length: 0\r\n\r\n"),
    _answered("a NUL in a header of the answer", _OK + b"A: b\0c\r\nContent-Length: 0\r\n\r\n"),
    _answered("line ends of LF alone in the answer", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello"),
    _answered("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    _answered("an answer that is not HTTP", b"220 hello\r\n"),
    _answered("no answer, but an end", b"", ends=True),
    _answered(
        "a head of 100 kB in the answer", _OK + b"A: " + b"b" * 100_000 + b"\r\nContent-Length: 0\r\n\r\n"
    ),
)
"""Kinds of answers, each to a path of its own."""
