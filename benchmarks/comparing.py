"""Count how often a comparison of results cries wolf, and how often it misses a change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.goals import GoalFigure, at_least, at_most
from lab.compare import Change, compare
from lab.measure.measurement import Measurement

__all__ = ["comparing"]

PAIRS = 100
TRIALS = 10
SCATTER = 0.05
"""Coefficient of variation of a trial's throughput."""


def comparing() -> Iterator[GoalFigure]:
    """Compare 100 pairs of simulated results, ten trials a side: A with A, and A with one 10 % slower."""
    yield at_most(f"A against A, pairs flagged of {PAIRS}", _flagged(0.0, seed=1), 5)
    yield at_least(f"10 % slower, pairs caught of {PAIRS}", _flagged(0.1, seed=2), 95)


def _flagged(slowdown: float, seed: int) -> int:
    draw = np.random.default_rng(seed)
    flagged = 0
    for _ in range(PAIRS):
        a, b = (_rows(100 * level * draw.normal(1, SCATTER, TRIALS)) for level in (1, 1 - slowdown))
        shown = {cell.finding for cell in compare(a, b).cells}
        flagged += bool(shown & {Change.WORSE, Change.BETTER})
    return flagged


def _rows(rates: np.ndarray) -> pd.DataFrame:
    one = {"topology": "parallel", "load_model": "closed", "concurrency": 1, "valid": True, "seed": 1}
    counts = {"requests": 100, "succeeded": 100, "failed": 0}
    rows = pd.DataFrame([one | counts | {"throughput_rps": rate} for rate in rates])
    return rows.reindex(columns=[column.name for column in Measurement.columns()])
