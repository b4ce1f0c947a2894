"""An answer with the same head as one before: the parser would say the same of it again."""

from __future__ import annotations

__all__ = ["EMPTY_LINE", "RepeatedHead"]

EMPTY_LINE = b"\r\n\r\n"
"""What ends a head: the end of its last line, and an empty one."""

MEMORABLE_BYTES = 1024


class RepeatedHead:
    """The head of an earlier answer on a connection, and what it said.

    Of an answer that is not chunked, nothing but the head says how long it is. So what begins with the same
    head and is as long is another whole answer, with the same status.

    Most servers answer like requests with the same head for a second, as long as their Date stands still.
    But where each head differs from the last, to remember it would cost, and for nothing. So only one is
    worth it whose answer is as long, with its body, as the one before.
    """

    __slots__ = ("_size", "_size_before", "_start", "body_at", "head", "status")

    def __init__(self) -> None:
        self.head = b""
        """Without the empty line."""
        self.status = 0
        self.body_at = 0
        """Where the body begins."""
        self._start = b""
        self._size = self._size_before = 0

    def begins(self, data: bytes) -> bool:
        """Whether this is an answer with that head, all of it and nothing more."""
        return len(data) == self._size and data.startswith(self._start)

    def worth(self, size: int) -> bool:
        """Whether to keep the head of the answer that has just come, of so many bytes with its body."""
        before, self._size_before = self._size_before, size
        return size == before

    def keep(self, head: bytes, status: int, size: int) -> None:
        """Wait for this head again, with which an answer has `size` bytes. A long one is not kept."""
        if len(head) > MEMORABLE_BYTES:
            return
        self.head = head
        self.status = status
        self.body_at = len(head) + len(EMPTY_LINE)
        self._start = head + EMPTY_LINE
        self._size = size
