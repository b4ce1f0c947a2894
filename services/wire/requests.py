"""Whole requests as bytes, and whole answers as data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.wire.exchange import Headers

__all__ = ["EXPECTING_BODY", "Response", "encode_request", "header_value"]

EXPECTING_BODY = frozenset({"POST", "PUT", "PATCH"})
"""Methods of which a server awaits a body, or a Content-Length of 0."""
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer. Header names are as they came."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """Return the values of a header (name in any case), joined by commas; None if there is none."""
        return header_value(self.headers, name.lower())


def header_value(headers: Headers, name: bytes) -> bytes | None:
    """Return the values of a header (name in lower case), joined by commas; None if there is none."""
    values = [value for key, value in headers if key.lower() == name]
    return b", ".join(values) if values else None


def encode_request(
    method: str, target: str, host: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
) -> bytes:
    """Return a whole HTTP/1.1 request: the head, with Host and Content-Length, and the body in one piece.

    `body=None` makes a request without a body: POST, PUT and PATCH then say so (RFC 9110, 8.6). Raises
    ValueError for a text that cannot stand in a head, so that no value can smuggle in a second header or
    request.
    """
    lines = [b"%s %s HTTP/1.1" % (_checked(_TOKEN, method), _checked(_TARGET, target))]
    lines.append(b"Host: " + _checked(_VALUE, host))
    lines.extend(b"%s: %s" % (_checked(_TOKEN, name), _checked(_VALUE, value)) for name, value in headers)
    if body is not None or method in EXPECTING_BODY:
        lines.append(b"Content-Length: %d" % len(body or b""))
    lines.append(b"\r\n")
    return b"\r\n".join(lines) + (body or b"")


def _checked(allowed: re.Pattern[bytes], text: str) -> bytes:
    raw = text.encode("latin-1")
    if allowed.fullmatch(raw) is None:
        raise ValueError(f"{text!r} cannot stand in the head of an HTTP request")
    return raw
