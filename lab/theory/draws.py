"""Random numbers one at a time, drawn many at a time: NumPy's price is per call, not per number."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["endless"]

BATCH = 1 << 14


def endless(draw: Callable[[int], NDArray[np.float64]]) -> Iterator[float]:
    """The numbers that `draw(count)` draws, call after call, as Python floats."""
    while True:
        yield from draw(BATCH).tolist()
