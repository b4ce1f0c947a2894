"""Where a run has settled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["mser5"]

_BATCH = 5


def mser5(observations: NDArray[np.float64], limit: int) -> int:
    """How many of the first observations to cut off, `limit` at the most: a multiple of 5, or `limit`.

    The marginal standard error rule on means of batches of five (White, Cobb and Spratt 2000): cut so that
    the variance of what is kept, over how much is kept, is least. What is nan is left out of its batch.
    """
    batches = len(observations) // _BATCH
    if batches < 2:
        return 0
    table = observations[: batches * _BATCH].reshape(batches, _BATCH)
    known = ~np.isnan(table)
    counts = known.sum(axis=1)
    means = np.where(known, table, 0.0).sum(axis=1)[counts > 0] / counts[counts > 0]
    place = np.flatnonzero(counts > 0) * _BATCH
    candidates = [n for n in range(len(means) - 1) if place[n] <= limit]
    if not candidates:
        return limit if len(means) else 0
    best = min(candidates, key=lambda n: float(np.var(means[n:])) / (len(means) - n))
    return int(place[best]) if best else 0
