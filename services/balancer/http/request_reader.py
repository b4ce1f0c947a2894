"""From the bytes of a connection to the requests in them: one at a time, in order, without a socket.

Chunked bodies become plain bytes, read as strictly as heads are.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Protocol, cast

from services.balancer.http.request import CHUNKED, Refusal, RequestHead, parse_head

__all__ = ["STEPS", "ChunkDecoder", "Expected", "Limits", "RequestHandler", "RequestReader"]

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_PLAIN = re.compile(rb"([0-9A-Fa-f]{1,8})\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
MAX_LINE = 4096
MAX_TRAILERS = 16 * 1024
STEPS = 64
"""How many chunks are taken in one turn of the loop, so that no client keeps the others waiting."""
FRAMING_PER_CHUNK = 16
FRAMING_PER_BYTE = 2
MAX_FRAMING = 16 * 1024
"""What chunks may have around their bytes: so much each, and so much more over all, as in Go's net/http.

Small chunks are legitimate, and have five bytes of framing for each of theirs; what is more is extensions.
"""


class ChunkDecoder:
    """A decoder of a chunked body in pieces of any size. Extensions and trailers are checked and dropped."""

    __slots__ = ("_at", "_buffer", "_framing", "_in_trailers", "_left", "_trailer_bytes", "done", "rest")

    def __init__(self) -> None:
        self.done = False
        """Whether the end of the body has come."""
        self.rest = b""
        """The bytes that came after the end: the next request's. Before it: what is for the next turn."""
        self._buffer = b""
        self._at = 0
        """How far the buffer was taken: to cut it at each chunk would cost its whole length every time."""
        self._left = 0
        """Bytes of the present chunk still to come, its CR LF included; 0 between chunks."""
        self._framing = 0
        self._in_trailers = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Return the plain bytes that `data` completes, or the first STEPS chunks of them.

        What is left over then is `rest`, to be fed in the next turn. Raises Refusal for what is not well
        formed.
        """
        self._buffer = self._buffer + data if self._buffer else data
        out: list[bytes] = []
        steps = STEPS
        while steps and not self.done:
            steps -= 1
            if not self._plain_chunk(out) and not self._step(out):
                break
        left = self._buffer[self._at :]
        self._at = 0
        self._buffer, self.rest = (b"", left) if self.done or not steps else (left, b"")
        return b"".join(out)

    def _plain_chunk(self, out: list[bytes]) -> bool:
        """Take a chunk that is there as a whole and has nothing but its size before it: nearly every one."""
        match = None if self._left or self._in_trailers else _PLAIN.match(self._buffer, self._at)
        if match is None:
            return False
        begin, end = match.span(1)
        size = int(match[1], 16)
        start = end + 2
        if not size or self._buffer[start + size : start + size + 2] != b"\r\n":
            return False
        out.append(self._buffer[start : start + size])
        self._at = start + size + 2
        self._framed(end - begin, size)
        return True

    def _step(self, out: list[bytes]) -> bool:
        """Take one line or one chunk from the buffer, or a part of it. Returns False for a part."""
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
            return True
        return not self._size(line) or self._chunk(out)

    def _chunk(self, out: list[bytes]) -> bool:
        payload = self._left - 2
        if payload > 0:
            piece = self._take(payload)
            out.append(piece)
            if len(piece) < payload:
                return False
        # Even the first of the two bytes is checked as it comes: waiting for both would hold a liar's socket.
        expected = b"\r\n"[-self._left :]
        piece = self._take(len(expected))
        if not expected.startswith(piece):
            raise Refusal(400, "a chunk longer than it says")
        return not self._left

    def _take(self, most: int) -> bytes:
        """Take up to `most` bytes of the present chunk."""
        piece = self._buffer[self._at : self._at + most]
        self._at += len(piece)
        self._left -= len(piece)
        return piece

    def _size(self, line: bytes) -> int:
        """Begin the chunk of the size in a line, and return how many bytes of it are to come."""
        match = _SIZE.fullmatch(line)
        if match is None:
            raise Refusal(400, "a bad chunk size")
        size = int(match.group(1), 16)
        self._framed(len(line), size)
        self._left = size + 2 if size else 0
        self._in_trailers = not size
        return self._left

    def _framed(self, line: int, size: int) -> None:
        """Count the framing of a chunk of `size` bytes whose first line has `line`."""
        framing = self._framing + line + 4 - FRAMING_PER_CHUNK - FRAMING_PER_BYTE * size
        self._framing = framing if framing > 0 else 0
        if framing > MAX_FRAMING:
            raise Refusal(400, "a chunked body that is mostly extensions")

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line) + 2
        if not line:
            self.done = True
        elif self._trailer_bytes > MAX_TRAILERS:
            raise Refusal(431, "trailers are over the limit")
        elif not _TRAILER.fullmatch(line):
            raise Refusal(400, "a trailer that is no header")


class Expected(Enum):
    """What a reader is waiting for the client to send."""

    HEAD = auto()
    """The rest of a head that has begun."""
    BODY = auto()
    """The rest of a body, of which there was some progress."""


class Limits(Protocol):
    """The largest sizes of a request, in bytes."""

    head_limit: int
    body_limit: int
    replay_limit: int
    """A body up to this long is taken in as a whole, a longer one piece by piece."""


class RequestHandler(Protocol):
    """What a reader hands requests to."""

    def on_request(self, head: RequestHead, body: bytes, kept: bool, whole: bool) -> None:
        """Take a request, with what there is of its body. Only a `whole` body, if short, is to be `kept`."""

    def on_body_piece(self, piece: bytes, last: bool) -> None:
        """Take more of the body of the last request."""

    def on_waiting(self, expected: Expected) -> None:
        """Wait: nothing more can be read until the client sends this. Called at every progress of a body."""

    def on_continue_expected(self) -> None:
        """Tell the client to send the body: it waits to be told."""


_CR = 0x0D
_NOBODY = cast(RequestHandler, None)
"""What a reader that was stopped hands requests to: it has none, and holds on to no connection."""


def _without_empty_lines(data: bytes) -> bytes:
    """Return the data from its first line that is not empty; it begins with one that is."""
    lines = (len(data) - len(data.lstrip(b"\r\n"))) // 2
    while not data.startswith(b"\r\n" * lines):  # bare ones among them: those stay, to be refused
        lines //= 2
    return data[2 * lines :]


class RequestReader:
    """A reader of one request at a time: the next only once `busy` is set to False, as the last is answered.

    What comes before that is kept in `buffer`. Raises Refusal for what is not well formed or too long; after
    that nothing more can be read. A body in many small chunks is not taken at once: where `turn_over` is
    true, `feed` is to be called again, in another turn of the loop.

    Two attributes say in which state the reader is. There is no enum: for a request that comes whole, which
    is nearly every one, `busy` alone changes.

    | state     | `busy` | `coming` | goes on to |
    |-----------|--------|----------|------------|
    | head      | no     | None     | answering (a whole request); body |
    | body      | no     | the head | answering (the body is whole); streaming (it is too long to be kept) |
    | streaming | yes    | the head | answering: the body has ended |
    | answering | yes    | None     | head: `busy` is set to False, and `feed` is called |
    | stopped   | yes    | None     | (for ever) |
    """

    __slots__ = (
        "_body",
        "_decoder",
        "_handler",
        "_head_begun",
        "_last",
        "_left",
        "_limits",
        "_reading",
        "_size",
        "buffer",
        "busy",
        "coming",
        "turn_over",
    )

    def __init__(self, limits: Limits, handler: RequestHandler) -> None:
        self._limits = limits
        self._handler = handler
        self.buffer = b""
        self.busy = False
        """Whether a request was handed over that is not answered yet."""
        self.coming: RequestHead | None = None
        """The head of the request whose body is still coming; it was handed over already if `busy`."""
        self.turn_over = False
        """Whether more of `buffer` could be taken, and is left for another turn."""
        self._head_begun = False
        self._last: RequestHead | None = None
        """The head of the last request that came as a whole: a client's next one often has the same."""
        self._reading = False
        self._decoder: ChunkDecoder | None = None
        self._body: list[bytes] = []
        self._size = self._left = 0

    def feed(self, data: bytes) -> None:
        """Read on with more bytes; with none to go on to the next request, after `busy` was set to False."""
        last = self._last
        if last is not None and last.begins(data) and not (self.busy or self.buffer or self.coming):
            self._hand_over(last, data[len(data) - last.length :])
            return
        self.buffer = self.buffer + data if self.buffer else data
        if self._reading or (data and self.turn_over):
            return
        self._reading, self.turn_over = True, False
        try:
            while self.buffer and not self.turn_over:
                if self.coming is not None:
                    self._take_body(self.coming)
                elif self.busy or not self._take_head():
                    return
        finally:
            self._reading = False

    def stop(self) -> None:
        """Read nothing more, and let go of what has come."""
        self.buffer = b""
        self._body.clear()
        self._decoder = self._last = self.coming = None
        self._handler = _NOBODY
        self.busy = True
        self.turn_over = False

    def _take_head(self) -> bool:
        buffer, limits = self.buffer, self._limits
        end = buffer.find(b"\r\n\r\n")
        if not 0 < end <= limits.head_limit or buffer[0] == _CR:
            return self._no_head_yet(end)
        head = parse_head(buffer[:end])
        length = head.length
        start = end + 4
        if (
            0 <= length <= limits.replay_limit
            and length <= limits.body_limit
            and len(buffer) - start >= length
        ):
            self.buffer = buffer[start + length :]
            self._last = head
            self._hand_over(head, buffer[start : start + length])
            return True
        if length > limits.body_limit:
            raise Refusal(413, f"the body is over {limits.body_limit} bytes")
        self.buffer = buffer[start:]
        self._expect_body(head)
        return True

    def _hand_over(self, head: RequestHead, body: bytes) -> None:
        """Hand over a whole request, short enough to be kept."""
        self._head_begun = False
        self.busy = True
        self._handler.on_request(head, body, True, True)

    def _no_head_yet(self, end: int) -> bool:
        """Deal with a buffer that begins with no whole head. Return whether there is more to look at."""
        buffer, limit = self.buffer, self._limits.head_limit
        if buffer.startswith(b"\r\n"):  # empty lines before a request are to be ignored (RFC 9112, 2.2)
            self.buffer = _without_empty_lines(buffer)
            return True
        if end > limit or (end < 0 and len(buffer) > limit):
            raise Refusal(431, f"the head is over {limit} bytes")
        text = 0x20 < buffer[0] < 0x7F or buffer == b"\r"
        if not text or buffer.count(b"\n") != buffer.count(b"\r\n"):
            raise Refusal(400, "this is not HTTP, or its lines do not end in CR LF")
        if not self._head_begun:
            self._head_begun = True
            self._handler.on_waiting(Expected.HEAD)
        return False

    def _expect_body(self, head: RequestHead) -> None:
        self._head_begun = False
        self.coming = head
        self._left = head.length
        self._size = 0
        self._decoder = ChunkDecoder() if head.length == CHUNKED else None
        if head.expects_continue and not self.buffer:
            self._handler.on_continue_expected()
        self._handler.on_waiting(Expected.BODY)

    def _take_body(self, head: RequestHead) -> None:
        piece, last = self._piece()
        self._size += len(piece)
        if self._size > self._limits.body_limit:
            raise Refusal(413, f"the body is over {self._limits.body_limit} bytes")
        if last:
            self.coming = None
        else:
            self._handler.on_waiting(Expected.BODY)
        if self.busy:
            self._handler.on_body_piece(piece, last)
            return
        self._body.append(piece)
        short = self._size <= self._limits.replay_limit
        if last or not short:
            body = b"".join(self._body)
            self._body.clear()
            self.busy = True
            self._handler.on_request(head, body, short, last)

    def _piece(self) -> tuple[bytes, bool]:
        """Take what there is of the body in the buffer, and whether it ends there."""
        decoder = self._decoder
        if decoder is not None:
            piece = decoder.feed(self.buffer)
            self.buffer = decoder.rest
            self.turn_over = bool(decoder.rest) and not decoder.done
            if decoder.done:
                self._decoder = None
            return piece, decoder.done
        piece, self.buffer = self.buffer[: self._left], self.buffer[self._left :]
        self._left -= len(piece)
        return piece, not self._left
