"""Heads of answers as raw bytes: which is the final answer's, and whether one is the same as before."""

from __future__ import annotations

__all__ = [
    "EMPTY_LINE",
    "MAX_HEAD_BYTES",
    "RepeatedHead",
    "final_head",
    "has_length",
    "head_at",
    "head_is_within",
    "quoted",
]

EMPTY_LINE = b"\r\n\r\n"
"""What ends a head: the end of its last line, and an empty one."""
MAX_HEAD_BYTES = 64 * 1024
"""The largest head of an answer, interim answers before it included."""
MEMORABLE_BYTES = 1024

_INTERIM = b"1"
"""The first digit of an interim answer's status, at its place in `HTTP/1.1 100`."""
_LINE_ENDS = b"\r\n"
"""The parser ignores any of these before a status line."""
_QUOTED = 40


def final_head(seen: bytes) -> bytes:
    """Return the final answer's head, which has come in full, without its empty line."""
    head, _, rest = seen.lstrip(_LINE_ENDS).partition(EMPTY_LINE)
    while head[9:10] == _INTERIM:
        head, _, rest = rest.lstrip(_LINE_ENDS).partition(EMPTY_LINE)
    return head


def head_at(seen: bytes, at: int) -> tuple[bytes, int]:
    """Return the head that begins at `at`, without its empty line, and where it ends. It has come in full."""
    while seen[at : at + 1] in (b"\r", b"\n"):
        at += 1
    end = seen.find(EMPTY_LINE, at)
    return seen[at:end], end + len(EMPTY_LINE)


def has_length(head: bytes) -> bool:
    """Tell whether the end of an answer is marked in some other way than by closing."""
    head = head.lower()
    return b"\r\ncontent-length:" in head or b"\r\ntransfer-encoding:" in head


def head_is_within(seen: bytes) -> bool:
    """Tell whether the final answer's head has come, and is no larger than it may be."""
    at = 0
    while (end := seen.find(EMPTY_LINE, at, MAX_HEAD_BYTES)) >= 0:
        if seen[at:end].lstrip(_LINE_ENDS)[9:10] != _INTERIM:
            return True
        at = end + len(EMPTY_LINE)
    return False


def quoted(data: bytes) -> str:
    """Return how the data begins, in quotes and in printable ASCII."""
    return repr(data[:_QUOTED])


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

    def keep(self, head: bytes, status: int, size: int, body_size: int) -> None:
        """Keep the head of an answer of `size` bytes, if it is short and alone says how long the answer is.

        It does where the head and the body, as the parser gave it, are all that came: no interim answer,
        no chunked coding, and nothing after it.
        """
        if len(head) > MEMORABLE_BYTES or len(head) + len(EMPTY_LINE) + body_size != size:
            return
        self.head = head
        self.status = status
        self.body_at = len(head) + len(EMPTY_LINE)
        self._start = head + EMPTY_LINE
        self._size = size
