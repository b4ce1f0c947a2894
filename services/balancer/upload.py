"""A body on its way to an instance, where it is too long to be kept. Bytes in, bytes out."""

from __future__ import annotations

from services.balancer.http.request_head import CHUNKED

__all__ = ["Upload"]


class Upload:
    """Passes a body on piece by piece as it comes, each piece once: what was sent cannot be sent anew."""

    __slots__ = ("_chunked", "_unsent", "whole")

    def __init__(self, length: int, body: bytes, whole: bool) -> None:
        """Of a body of this `length`, in bytes or CHUNKED, `body` is what there is so far."""
        self._chunked = length == CHUNKED
        self._unsent = body
        self.whole = whole
        """Whether all of it has come."""

    def add(self, data: bytes, last: bool) -> None:
        """More of it came."""
        self._unsent += data
        self.whole = last

    def piece(self) -> bytes:
        """What is still to be sent, as it goes to the instance; the same again until it was `sent`."""
        data = self._unsent
        if not self._chunked:
            return data
        return (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if self.whole else b"")

    def sent(self) -> None:
        """The piece is on its way."""
        self._unsent = b""
