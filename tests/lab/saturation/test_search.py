from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.saturation.search import Search, SearchResult

levels = st.floats(0.5, 1e6)


def run(search: Search, limit: float, *, tells_capacity: bool) -> Search:
    """Search for the limit of a server that keeps the goal up to it exactly."""
    while (level := search.next_level()) is not None:
        kept = level <= limit
        search = search.after(
            SearchResult(level, kept, capacity=limit if tells_capacity and not kept else None)
        )
    return search


@given(levels, levels)
def test_with_capacity_told_any_guess_leads_there_or_runs_out_of_probes(guess: float, limit: float) -> None:
    search = run(Search(guess), limit, tells_capacity=True)
    assert search.settled or len(search.found) == 8
    if search.settled:
        assert search.highest_kept is not None
        assert limit / 1.03 <= search.highest_kept <= limit


@given(levels, st.floats(0.11, 20))
def test_a_guess_within_a_factor_of_nine_settles_in_eight_probes(limit: float, off: float) -> None:
    assert run(Search(limit * off), limit, tells_capacity=True).settled


@given(levels, st.floats(0.51, 1.9))
def test_without_capacity_a_guess_within_a_factor_of_two_settles_in_eight(limit: float, off: float) -> None:
    assert run(Search(limit * off), limit, tells_capacity=False).settled


@given(levels)
def test_a_good_guess_takes_two_probes(limit: float) -> None:
    assert len(run(Search(limit), limit, tells_capacity=True).found) == 2


@given(levels, levels, st.booleans())
def test_no_level_is_probed_whose_answer_is_known(guess: float, limit: float, told: bool) -> None:
    search = Search(guess)
    while (level := search.next_level()) is not None:
        assert search.highest_kept is None or level > search.highest_kept
        assert search.lowest_broken is None or level < search.lowest_broken
        search = search.after(SearchResult(level, level <= limit, limit if told else None))


@given(st.integers(1, 200), st.integers(1, 400))
def test_whole_levels_end_at_neighbours(limit: int, guess: int) -> None:
    search = run(Search(guess, most_probes=40, whole=True), limit, tells_capacity=False)
    assert all(found.level == int(found.level) >= 1 for found in search.found)
    assert search.highest_kept is not None
    assert search.settled
    assert limit / 1.03 - 1 < search.highest_kept <= limit


def test_nothing_kept_at_one_ends_the_search_of_whole_levels() -> None:
    search = run(Search(4, most_probes=40, whole=True), 0, tells_capacity=False)
    assert search.settled
    assert (search.highest_kept, search.lowest_broken) == (None, 1)


def test_probes_are_never_more_than_allowed() -> None:
    search = run(Search(1, most_probes=3), 1e9, tells_capacity=False)
    assert len(search.found) == 3
    assert not search.settled


def test_a_level_kept_above_a_broken_one_is_not_believed() -> None:
    search = Search(100).after(SearchResult(90, kept=False)).after(SearchResult(110, kept=True))
    assert (search.highest_kept, search.lowest_broken) == (None, 90)


@pytest.mark.parametrize("guess", [0, -1, float("nan"), float("inf")])
def test_a_guess_that_is_no_level_is_refused(guess: float) -> None:
    with pytest.raises(BadParameter, match="cannot start"):
        Search(guess)


@pytest.mark.parametrize("precision", [0, 1, -0.1])
def test_a_precision_that_is_no_share_is_refused(precision: float) -> None:
    with pytest.raises(BadParameter, match="precision"):
        Search(1, precision=precision)
