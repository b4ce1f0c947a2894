"""An answer with the same head as an earlier one, of which the parser would say the same again."""

from __future__ import annotations

__all__ = ["EMPTY_LINE", "RepeatedHead"]

EMPTY_LINE = b"\r\n\r\n"
"""What ends a head: the end of its last line, and an empty one."""

MEMORABLE_BYTES = 1024


class RepeatedHead:
    """The head of an earlier answer on a connection, with its status and the answer's size.

    The length of an answer that is not chunked stands in its head alone. So bytes that begin with the same
    head, and are as many, are another whole answer with the same status.

    Most servers answer like requests with the same head for a second, as long as their Date stands still.
    Where each head differs from the last, remembering them would cost and gain nothing. So a head is kept
    only if its answer is as long, with its body, as the one before.
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
        """Tell whether the data is a whole answer with the kept head, and nothing more."""
        return len(data) == self._size and data.startswith(self._start)

    def worth(self, size: int) -> bool:
        """Tell whether to keep the head of the answer that has just come, of `size` bytes with its body."""
        before, self._size_before = self._size_before, size
        return size == before

    def keep(self, head: bytes, status: int, size: int) -> None:
        """Keep a head, with which an answer has `size` bytes, unless the head is long."""
        if len(head) > MEMORABLE_BYTES:
            return
        self.head = head
        self.status = status
        self.body_at = len(head) + len(EMPTY_LINE)
        self._start = head + EMPTY_LINE
        self._size = size
