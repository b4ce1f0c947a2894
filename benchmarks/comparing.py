"""Count how often a comparison of results cries wolf, and how often it misses a change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from benchmarks.goals import GoalFigure, at_least, at_most, reference
from benchmarks.sweeping import swept
from lab.compare import Change, Metric, compare
from lab.compare.decision import finding_of, shown

__all__ = ["comparing", "sittings"]

PAIRS = 1000
CELLS = 8
TRIALS = 3
THRESHOLD = 0.05
Logs = NDArray[np.float64]
"""Logarithms of the trials' throughputs, by cell, side and trial."""


def _normal(draw: np.random.Generator, scatter: float) -> Logs:
    return np.log(draw.normal(1, scatter, (CELLS, 2, TRIALS)))


def _lognormal(draw: np.random.Generator, scatter: float) -> Logs:
    return draw.normal(0, scatter, (CELLS, 2, TRIALS))


def _one_in_ten_threefold(draw: np.random.Generator, scatter: float) -> Logs:
    spoilt = draw.random((CELLS, 2, TRIALS)) < 0.1
    return _lognormal(draw, scatter) - math.log(3) * spoilt


_DRAWS: Mapping[str, Callable[[np.random.Generator, float], Logs]] = {
    "normal": _normal,
    "lognormal": _lognormal,
    "one in ten threefold": _one_in_ten_threefold,
}
"""How trials scatter: by a coefficient of variation; in the last, one in ten does a third."""


def comparing() -> Iterator[GoalFigure]:
    """Compare 1,000 simulated pairs of eight cells at three trials a side: A with A, and with a slower B."""
    for name in _DRAWS:
        for scatter in (0.02, 0.1):
            pairs = list(_pairs(name, scatter))
            worse = 100 * np.mean([Change.WORSE in pair for pair in pairs])
            yield at_most(f"A against A, {name} at {scatter:.0%}, pairs with a worse", worse, 5, "%")
        quiet = list(_pairs(name, 0.02))
        decided = 100 * np.mean([not {Change.WORSE, Change.TOO_FEW_TRIALS} & set(pair) for pair in quiet])
        what = f"A against A, {name} at 2%, pairs that exit with 0"
        # Where trials take threefold, three of them cannot exclude a halving, and it is right to say so.
        spoilt = name == "one in ten threefold"
        yield reference(what, decided, "%") if spoilt else at_least(what, decided, 95, "%")
    for cells, slower in (("all cells", range(CELLS)), ("one cell", range(1))):
        yield at_least(f"10 % slower in {cells} at 1%, found a cell", _caught(0.01, 0.9, slower), 95, "%")
        yield reference(f"10 % slower in {cells} at 2%, found a cell", _caught(0.02, 0.9, slower), "%")
    for scatter in (0.01, 0.02, 0.05):
        halved = [pair.count(Change.WORSE) for pair in _pairs("lognormal", scatter, 0.5, range(CELLS))]
        share = 100 * np.mean([count == CELLS for count in halved])
        yield at_least(f"halved at {scatter:.0%}, pairs with 8 of 8 cells found", share, 100, "%")


def sittings(sweeps: int = 10, **factors: object) -> Iterator[GoalFigure]:
    """Run ten real sweeps of the quickstart and compare each with each other: all are A with A."""
    rows = [swept("quickstart", trials=TRIALS, redo_invalid=True, **factors) for _ in range(sweeps)]
    pairs = [compare(a, b) for a, b in permutations(rows, 2)]
    worse = 100 * np.mean([bool(pair.regressions) for pair in pairs])
    undecided = 100 * np.mean([bool(pair.undecided) for pair in pairs])
    yield at_most(f"{sweeps} sweeps, {len(pairs)} pairs, with a worse", worse, 5, "%")
    yield reference("pairs in which some cell was not compared", undecided, "%")
    for cell in pairs[0].cells:
        yield reference(f"ratio of the first two, {cell.label}", cell.ratio.estimate)


def _found(logs: Logs) -> list[Change]:
    """Return what a comparison finds in each cell of a pair of results, where no request fails."""
    sides = {(str(cell),): (np.exp(a).tolist(), np.exp(b).tolist()) for cell, (a, b) in enumerate(logs)}
    none_failed = ([0.0], [0.0])
    return [
        finding_of(told.ratio, none_failed, Metric.THROUGHPUT, THRESHOLD) for told in shown(sides).values()
    ]


def _pairs(
    name: str, scatter: float, factor: float = 1.0, slower: Sequence[int] = ()
) -> Iterator[list[Change]]:
    """Yield what is found in each pair, where B has `factor` times the throughput of A in some cells."""
    draw = np.random.default_rng(1)
    for _ in range(PAIRS):
        logs = _DRAWS[name](draw, scatter)
        logs[list(slower), 1] += math.log(factor)
        yield _found(logs)


def _caught(scatter: float, factor: float, slower: Sequence[int]) -> float:
    found = [pair[cell] for pair in _pairs("lognormal", scatter, factor, slower) for cell in slower]
    return 100 * found.count(Change.WORSE) / len(found)
