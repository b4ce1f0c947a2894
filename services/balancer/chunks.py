"""Chunked bodies into plain bytes. Pure, and as strict as the framing of heads."""

from __future__ import annotations

import re

from services.balancer.http.request_head import Refusal

__all__ = ["ChunkDecoder"]

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
MAX_LINE = 4096
MAX_TRAILERS = 16 * 1024


class ChunkDecoder:
    """Takes a chunked body in pieces of any size. Extensions and trailers are checked and dropped."""

    __slots__ = ("_at", "_buffer", "_in_trailers", "_left", "_trailer_bytes", "done")

    def __init__(self) -> None:
        self.done = False
        """Whether the end of the body has come."""
        self._buffer = b""
        self._at = 0
        """How far the buffer was taken: to cut it at every chunk would cost its length for each."""
        self._left = 0
        """Bytes of the present chunk still to come, its CR LF included; 0 between chunks."""
        self._in_trailers = False
        self._trailer_bytes = 0

    @property
    def rest(self) -> bytes:
        """What came after the end: the next request's."""
        return self._buffer if self.done else b""

    def feed(self, data: bytes) -> bytes:
        """The plain bytes that `data` completes. Raises Refusal for what is not well formed."""
        self._buffer += data
        out: list[bytes] = []
        while not self.done and self._step(out):
            pass
        self._buffer = self._buffer[self._at :]
        self._at = 0
        return b"".join(out)

    def _step(self, out: list[bytes]) -> bool:
        """Take one line or one piece of a chunk from the buffer; False if there is no whole one."""
        if self._left:
            return self._chunk(out)
        buffer, at = self._buffer, self._at
        end = buffer.find(b"\r\n", at)
        if end < 0 or end - at > MAX_LINE:
            if len(buffer) - at > MAX_LINE or buffer.find(b"\n", at) >= 0:
                raise Refusal(400, "an endless line, or a line end that is not CR LF, in a chunked body")
            return False
        line = buffer[at:end]
        self._at = end + 2
        if self._in_trailers:
            self._trailer(line)
        else:
            self._size(line)
        return True

    def _chunk(self, out: list[bytes]) -> bool:
        payload = self._left - 2
        if payload > 0:
            piece = self._take(payload)
            out.append(piece)
            return bool(piece)
        # Even the first of the two bytes is checked as it comes: waiting for both would hold a liar's socket.
        expected = b"\r\n"[-self._left :]
        piece = self._take(len(expected))
        if not expected.startswith(piece):
            raise Refusal(400, "a chunk longer than it says")
        return bool(piece)

    def _take(self, most: int) -> bytes:
        """Up to so many bytes of the present chunk."""
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        self._left -= len(piece)
        return piece

    def _size(self, line: bytes) -> None:
        match = _SIZE.fullmatch(line)
        if match is None:
            raise Refusal(400, "a bad chunk size")
        size = int(match.group(1), 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if not line:
            self.done = True
        elif self._trailer_bytes > MAX_TRAILERS:
            raise Refusal(431, "trailers are over the limit")
        elif not _TRAILER.fullmatch(line):
            raise Refusal(400, "a trailer that is no header")
