from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lab.measure.statistics import (
    Interval,
    batch_means,
    difference_p,
    geometric_mean,
    holm,
    holm_levels,
    log_interval,
    log_ratio,
    mann_whitney_p,
    mean_interval,
    pooled_variance,
    ratio_interval,
    smallest_p,
    trials_to_exclude,
)

RUNS = 1000
positive = st.floats(0.001, 1e6)
samples = st.lists(positive, min_size=2, max_size=10)


def coverage(truth: float, interval: Callable[[], Interval]) -> float:
    """The share of so many simulated runs whose interval covers the truth."""
    return sum(truth in interval() for _ in range(RUNS)) / RUNS


def scattered(draw: np.random.Generator, typical: float, trials: int, spread: float = 0.05) -> list[float]:
    """Trials that scatter by factors: the spread is about the coefficient of variation."""
    values: list[float] = (typical * np.exp(draw.normal(0, spread, trials))).tolist()
    return values


@pytest.mark.parametrize("trials", [3, 5, 10])
@pytest.mark.parametrize("spread", [0.05, 0.3])
def test_the_interval_of_a_throughput_covers_the_truth(trials: int, spread: float) -> None:
    draw = np.random.default_rng(trials)
    assert coverage(25, lambda: log_interval(scattered(draw, 25, trials, spread))) >= 0.93


@pytest.mark.parametrize("trials", [3, 5, 10])
@pytest.mark.parametrize("other_spread", [0.05, 0.01])
def test_the_interval_of_a_ratio_covers_the_truth(trials: int, other_spread: float) -> None:
    draw = np.random.default_rng(10 + trials)

    def ratio() -> Interval:
        return ratio_interval(scattered(draw, 100, trials), scattered(draw, 25, trials, other_spread))

    assert coverage(4, ratio) >= 0.93


@pytest.mark.parametrize("trials", [3, 5, 10])
def test_the_interval_of_a_99th_percentile_between_trials_covers_the_truth(trials: int) -> None:
    draw = np.random.default_rng(20 + trials)

    def of_trials() -> Interval:
        return log_interval(np.quantile(draw.exponential(1, (trials, 5000)), 0.99, axis=1).tolist())

    assert coverage(-math.log(0.01), of_trials) >= 0.93


def test_batch_means_cover_the_mean_of_a_correlated_series_where_single_values_do_not() -> None:
    draw = np.random.default_rng(30)

    def series() -> NDArray[np.float64]:
        """First-order autoregression: each value remembers 0.8 of the last."""
        values = draw.normal(0, 1, 2000)
        values[0] /= 0.6
        for n in range(1, len(values)):
            values[n] += 0.8 * values[n - 1]
        return values

    runs = [series() for _ in range(300)]
    assert sum(0 in mean_interval(batch_means(run)) for run in runs) >= 0.93 * 300
    assert sum(0 in mean_interval(run) for run in runs) < 0.7 * 300


@given(samples)
def test_the_estimate_is_the_geometric_mean_and_lies_within(values: list[float]) -> None:
    interval = log_interval(values)
    assert interval.estimate == pytest.approx(geometric_mean(values))
    assert interval.low <= interval.estimate * (1 + 1e-9)
    assert interval.high >= interval.estimate * (1 - 1e-9)


@given(samples, samples)
def test_a_ratio_turned_over_is_the_ratio_of_the_others(first: list[float], second: list[float]) -> None:
    ratio, inverse = ratio_interval(first, second), ratio_interval(second, first)
    assert ratio.estimate * inverse.estimate == pytest.approx(1)
    assert ratio.low * inverse.high == pytest.approx(1)


@given(samples, samples, st.floats(0.01, 100))
def test_a_unit_cancels_in_a_ratio(first: list[float], second: list[float], unit: float) -> None:
    scaled = ratio_interval([v * unit for v in first], [v * unit for v in second])
    assert scaled.estimate == pytest.approx(ratio_interval(first, second).estimate)


def test_equal_trials_have_an_interval_without_width() -> None:
    assert log_interval([5.0, 5.0, 5.0]) == Interval(*[pytest.approx(5)] * 3)  # type: ignore[list-item]
    assert ratio_interval([8.0, 8.0], [2.0, 2.0]).high == pytest.approx(4)


def test_one_trial_has_an_estimate_and_no_interval() -> None:
    assert log_interval([5.0]).estimate == pytest.approx(5)
    assert not log_interval([5.0]).known
    assert not ratio_interval([5.0], [5.0, 6.0]).known
    assert math.isnan(log_interval([]).estimate)
    assert math.isnan(ratio_interval([], [1.0]).estimate)


def test_what_is_not_positive_has_no_logarithm() -> None:
    for values in ([1.0, 0.0], [-1.0], [math.nan]):
        with pytest.raises(ValueError, match="above 0"):
            log_interval(values)


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=200), st.integers(1, 20))
def test_batches_take_in_every_value_and_differ_in_length_by_one_at_most(
    values: list[float], batches: int
) -> None:
    means = batch_means(values, batches)
    assert len(means) == min(batches, len(values))
    short, longer = divmod(len(values), len(means))
    lengths = [short + 1] * longer + [short] * (len(means) - longer)
    assert np.dot(means, lengths) == pytest.approx(sum(values), abs=1e-9)
    assert means[0] == pytest.approx(np.mean(values[: lengths[0]]), abs=1e-9)


def test_no_values_have_no_batches() -> None:
    assert len(batch_means([])) == 0


@given(st.integers(1, 12), st.integers(1, 12))
def test_the_smallest_p_is_what_u_gives_when_one_side_lies_wholly_below(first: int, second: int) -> None:
    low, high = list(range(first)), list(range(100, 100 + second))
    assert mann_whitney_p(low, high) == pytest.approx(smallest_p(first, second))


def test_u_agrees_with_counting_every_order() -> None:
    first, second = [1.0, 4.0, 6.0, 7.0], [2.0, 9.0, 8.0, 10.0]
    pooled = first + second

    def u(of: tuple[float, ...]) -> int:
        return sum(a > b for a in of for b in set(pooled) - set(of))

    middle = len(first) * len(second) / 2
    every = [abs(u(of) - middle) for of in combinations(pooled, 4)]
    as_uneven = sum(other >= abs(u(tuple(first)) - middle) for other in every)
    assert mann_whitney_p(first, second) == pytest.approx(as_uneven / len(every))


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        ([1, 1, 1], [2, 2, 2], 0.1),
        ([1, 1, 1], [1, 1, 1], 1.0),
        ([1, 1, 2], [2, 3, 3], 0.2),
        ([1, 2, 2, 2], [2, 2, 2, 3], 4 / 7),
        ([5], [5], 1.0),
    ],
)
def test_ties_are_counted_exactly(first: list[float], second: list[float], p: float) -> None:
    assert mann_whitney_p(first, second) == pytest.approx(p)
    assert mann_whitney_p(second, first) == pytest.approx(p)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=5), st.lists(st.integers(0, 3), min_size=1, max_size=5)
)
def test_the_exact_p_is_the_share_of_all_ways_to_deal_the_values(first: list[int], second: list[int]) -> None:
    pooled = [*first, *second]
    ranks = {v: (sum(o < v for o in pooled) + sum(o <= v for o in pooled) + 1) / 2 for v in pooled}
    middle = sum(ranks[v] for v in pooled) * len(first) / len(pooled)
    far = abs(sum(ranks[v] for v in first) - middle)
    dealt = [abs(sum(ranks[v] for v in of) - middle) for of in combinations(pooled, len(first))]
    share = sum(other >= far - 1e-9 for other in dealt) / len(dealt)
    assert mann_whitney_p(first, second) == pytest.approx(share)


def test_three_trials_a_side_can_never_show_a_difference() -> None:
    assert smallest_p(3, 3) == pytest.approx(0.1)
    assert smallest_p(4, 4) < 0.05 < smallest_p(3, 4)


def test_an_empty_side_has_no_p() -> None:
    assert math.isnan(mann_whitney_p([], [1.0]))


def test_holm_corrects_the_textbook_case() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=10))
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(p <= c <= min(1.0, len(p_values) * p) for p, c in zip(p_values, corrected, strict=True))
    for (p, c), (q, d) in combinations(zip(p_values, corrected, strict=True), 2):
        assert (p <= q) <= (c <= d) if p != q else c == d


@given(st.lists(st.floats(1e-9, 1), min_size=1, max_size=10))
def test_a_p_below_the_level_that_holm_leaves_it_is_one_that_he_rejects(p_values: list[float]) -> None:
    for p, corrected, level in zip(p_values, holm(p_values), holm_levels(p_values), strict=True):
        if not math.isclose(corrected, 0.05) and not math.isclose(p, level):
            assert (corrected < 0.05) == (p < level)


@given(samples, samples, st.floats(0.001, 0.2))
def test_an_interval_excludes_1_exactly_where_p_is_below_its_level(
    first: list[float], second: list[float], level: float
) -> None:
    ratio = log_ratio(first, second)
    if not math.isclose(ratio.p, level, rel_tol=1e-3) and ratio.error > 1e-9:
        assert (1 not in ratio.interval(level)) == (ratio.p < level)


def groups(draw: np.random.Generator, spreads: Sequence[float], trials: int = 3) -> list[list[float]]:
    return [scattered(draw, 100, trials, spread) for spread in spreads]


def test_variances_that_are_one_are_pooled_in_four_of_five_sets() -> None:
    draw = np.random.default_rng(50)
    pooled = sum(pooled_variance(groups(draw, [0.05] * 16)) is not None for _ in range(RUNS))
    assert 0.75 * RUNS < pooled < 0.85 * RUNS


def test_variances_that_differ_or_hold_outliers_are_seldom_pooled_at_three_trials() -> None:
    draw = np.random.default_rng(60)
    unlike = [0.02] * 14 + [0.2] * 2
    assert sum(pooled_variance(groups(draw, unlike)) is not None for _ in range(300)) < 15
    sets = [
        [[v / 3 if draw.random() < 0.1 else v for v in g] for g in groups(draw, [0.02] * 16)]
        for _ in range(300)
    ]
    assert sum(pooled_variance(each) is not None for each in sets) < 15


def test_the_pooled_variance_is_the_mean_of_the_groups_by_their_freedom() -> None:
    made = [[1.0, 2.0, 4.0], [3.0, 6.0, 6.5], [7.0]]
    pooled = pooled_variance(made)
    assert pooled is not None
    assert pooled.freedom == 4
    assert pooled.variance == pytest.approx(np.mean([np.log(group).var(ddof=1) for group in made[:2]]))


@pytest.mark.parametrize("made", [[], [[1.0]], [[1.0, 2.0]], [[1.0, 2.0], [3.0, 9.0]], [[1.0, 2.0, 3.0]]])
def test_what_cannot_be_held_against_each_other_is_not_pooled(made: list[list[float]]) -> None:
    assert pooled_variance(made) is None


@pytest.mark.parametrize("scatter", [0.01, 0.1, 0.5])
def test_so_many_trials_make_an_interval_that_does_not_hold_both_1_and_a_halving(scatter: float) -> None:
    trials = trials_to_exclude(0.5, scatter, 0.05)
    assert trials is not None
    alike = [math.exp(scatter * side * math.sqrt((trials - 1) / trials)) for side in (-1, 1)] * (trials // 2)
    if trials % 2 == 0:
        interval = log_ratio(alike, alike).interval(0.05)
        assert interval.high / interval.low < 2
    assert trials_to_exclude(0.5, 100.0, 0.05) is None


def test_a_difference_without_scatter_is_certain_and_none_is_not() -> None:
    assert difference_p([1.0, 1.0, 1.0], [2.0, 2.0, 2.0]) == 0
    assert difference_p([1.0, 1.0], [1.0, 1.0]) == 1
    assert math.isnan(difference_p([1.0], [1.0, 2.0]))


def test_chance_alone_makes_few_small_p_values() -> None:
    draw = np.random.default_rng(40)
    small = sum(difference_p(draw.normal(size=8), draw.normal(size=8)) < 0.05 for _ in range(RUNS))
    assert 0.03 * RUNS < small < 0.07 * RUNS
