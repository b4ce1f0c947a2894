"""Rows of whole numbers, packed as they come."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Packed"]


class Packed:
    """Rows in arrays, the oldest first."""

    def __init__(self) -> None:
        self.rows = 0
        self._arrays: deque[NDArray[np.int64]] = deque()

    def take(self, rows: list[Any]) -> NDArray[np.int64]:
        """Pack the rows of a list, and empty it."""
        packed = np.array(rows, dtype=np.int64)
        rows.clear()
        self._arrays.append(packed)
        self.rows += len(packed)
        return packed

    def give(self, least: int) -> NDArray[np.int64]:
        """The oldest rows: `least` or a few more, as long as there are so many."""
        given, rows = [], 0
        while self._arrays and rows < least:
            given.append(self._arrays.popleft())
            rows += len(given[-1])
        self.rows -= rows
        return np.concatenate(given)
