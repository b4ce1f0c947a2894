"""An answer on its way to the client, where it comes in more than one piece. Bytes in, bytes out.

A body on its way to an instance, where it is too long to be kept. Bytes in, bytes out.
"""

from __future__ import annotations

from services.balancer.http.request_head import CHUNKED
from services.balancer.http.response_head import AnswerHead

__all__ = ["Download", "Upload"]

HELD_BYTES = 16 * 1024
"""An answer up to this long is passed on in one piece."""


class Download:
    """Takes an answer's body as it comes, and gives head and body as the client is to get them."""

    __slots__ = ("_begun", "_out", "_received", "head")

    def __init__(self, head: AnswerHead) -> None:
        self.head = head
        self._out = [head.data]
        self._received = 0
        self._begun = False

    @property
    def fits(self) -> bool:
        """Whether the body was as long as its head says, if it is over now."""
        return self.head.expected < 0 or self.head.expected == self._received

    def add(self, chunk: bytes) -> None:
        """A piece of the body came."""
        self._received += len(chunk)
        if self.head.length == CHUNKED:
            self._out += (b"%x\r\n" % len(chunk), chunk, b"\r\n")
        else:
            self._out.append(chunk)

    def ready(self) -> bytes:
        """What is to be passed on by now, if anything is. A short answer is not begun before it is whole."""
        if not self._begun and 0 <= self.head.length <= HELD_BYTES:
            return b""
        self._begun = True
        data = b"".join(self._out)
        self._out.clear()
        return data

    def last(self) -> bytes:
        """The rest, once the answer is whole."""
        if self.head.length == CHUNKED:
            self._out.append(b"0\r\n\r\n")
        return b"".join(self._out)


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
