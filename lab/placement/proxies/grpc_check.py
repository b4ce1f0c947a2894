"""The standard health check of gRPC as bytes, for balancers that can only send and expect bytes."""

from __future__ import annotations

__all__ = ["SENT", "SERVING"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/grpc.health.v1.Health/Check"),
    (b":authority", b"check"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
_NOBODY = bytes(5)
"""A message of no bytes: not compressed, length 0. It asks for the health of the whole server."""
_DATA, _HEAD, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113, section 4.1."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that needs no table: RFC 7541, section 6.2.2."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


SENT = (
    _PREFACE
    + _frame(_SETTINGS, 0, 0)
    + _frame(_HEAD, _END_HEADERS, 1, b"".join(_literal(*header) for header in _HEADERS))
    + _frame(_DATA, _END_STREAM, 1, _NOBODY)
)
"""A whole connection's worth: what begins it, and one call."""
SERVING = bytes.fromhex("00 00000002 0801")
"""What the answer to it has in it: a message of two bytes, the field `status` of value SERVING."""
