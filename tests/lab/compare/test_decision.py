"""How often the rule cries wolf, and what it misses: each time the same simulated pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.compare import Change, Metric
from lab.compare.decision import finding_of, shown

PAIRS = 200
Draw = Callable[[np.random.Generator, float, tuple[int, ...]], NDArray[np.float64]]


def normal(draw: np.random.Generator, scatter: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return draw.normal(100, 100 * scatter, shape)


def lognormal(draw: np.random.Generator, scatter: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return 100 * draw.lognormal(0, scatter, shape)


def threefold(draw: np.random.Generator, scatter: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """One trial in ten has a third of its throughput."""
    return np.where(draw.random(shape) < 0.1, 1 / 3, 1) * lognormal(draw, scatter, shape)


def unlike(draw: np.random.Generator, scatter: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """One cell scatters eight times as much as the others."""
    spread = np.full(shape[0], scatter)
    spread[-1] *= 8
    return 100 * np.exp(draw.normal(0, 1, shape) * spread[:, np.newaxis, np.newaxis])


def pairs(
    of: Draw, scatter: float, *, cells: int = 8, trials: int = 3, factor: float = 1, slower: int = 8
) -> list[list[Change]]:
    """What is found in each cell of each pair; in the first cells, `slower` many, B does `factor` times A."""
    draw = np.random.default_rng(2)
    found = []
    for _ in range(PAIRS):
        values = of(draw, scatter, (cells, 2, trials))
        values[:slower, 1] *= factor
        sides = {(f"{cell}",): (a.tolist(), b.tolist()) for cell, (a, b) in enumerate(values)}
        told = shown(sides).values()
        found.append([finding_of(each.ratio, ([0.0], [0.0]), Metric.THROUGHPUT, 0.05) for each in told])
    return found


@pytest.mark.parametrize("of", [normal, lognormal, threefold, unlike])
@pytest.mark.parametrize(("cells", "trials"), [(1, 3), (8, 3), (8, 5), (28, 3)])
def test_of_a_against_a_at_most_5_of_100_pairs_say_worse_or_better_anywhere(
    of: Draw, cells: int, trials: int
) -> None:
    found = pairs(of, 0.05, cells=cells, trials=trials)
    assert sum(Change.WORSE in pair for pair in found) <= 0.05 * PAIRS
    assert sum(Change.BETTER in pair for pair in found) <= 0.05 * PAIRS


@pytest.mark.parametrize("of", [normal, lognormal])
def test_of_a_against_a_at_2_percent_95_of_100_pairs_exit_with_0(of: Draw) -> None:
    silent = [not {Change.WORSE, Change.TOO_FEW_TRIALS} & set(pair) for pair in pairs(of, 0.02)]
    assert sum(silent) >= 0.95 * PAIRS


@pytest.mark.parametrize("scatter", [0.01, 0.02, 0.05])
def test_a_halving_at_three_trials_a_side_is_found_in_8_of_8_cells(scatter: float) -> None:
    assert all(pair == [Change.WORSE] * 8 for pair in pairs(lognormal, scatter, factor=0.5))


@pytest.mark.parametrize("slower", [1, 8])
def test_10_percent_slower_at_1_percent_is_found_in_95_of_100_cells(slower: int) -> None:
    found = [
        finding for pair in pairs(lognormal, 0.01, factor=0.9, slower=slower) for finding in pair[:slower]
    ]
    assert found.count(Change.WORSE) >= 0.95 * len(found)


def test_the_seen_case_of_two_trials_is_not_worse_beside_an_interval_that_holds_1() -> None:
    (told,) = shown({("all",): ([100.0, 104.0], [92.0, 97.0])}).values()
    assert 1 in told.ratio
    assert told.ratio.estimate < 1 / 1.05
    finding = finding_of(told.ratio, ([0.0], [0.0]), Metric.THROUGHPUT, 0.05)
    assert finding is Change.NO_DIFFERENCE_SHOWN


def test_the_level_of_each_cell_is_what_holm_leaves_it() -> None:
    steady = [100.0, 100.1, 100.2]
    told = shown(
        {
            ("halved",): (steady, [value / 2 for value in steady]),
            ("slower",): (steady, [value * 0.9 for value in steady]),
            ("alike",): (steady, [100.05, 100.2, 100.1]),
        }
    )
    assert [each.level for each in told.values()] == pytest.approx([0.05 / 3, 0.05 / 2, 0.05])
    assert not math.isnan(told["alike",].ratio.low)
