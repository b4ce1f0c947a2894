"""The title of a chart says what was found, of whatever was measured."""

from __future__ import annotations

from typing import Any

import pytest

from lab import charts
from tests.support.chart_rows import made_up_rows

Rows = list[dict[str, Any]]


def plain(_: Rows) -> None:
    """Leave the rows as they are."""


def sequential_alone(made: Rows) -> None:
    made[:] = [row for row in made if row["topology"] == "sequential"]


def two_kinds_of_work(made: Rows) -> None:
    made += [row | {"work_distribution": "exponential"} for row in made]


def half_as_fast_with_the_other(made: Rows) -> None:
    slower = {("parallel", 32): 0.9}
    made += [
        row
        | {"work_distribution": "exponential"}
        | {"throughput_rps": row["throughput_rps"] * slower.get((row["topology"], row["concurrency"]), 1)}
        for row in made
    ]


def all_invalid(made: Rows) -> None:
    for row in made:
        row |= {"valid": "false", "response_time_mean_ms": ""}


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (plain, "Four instances do 4.00× the work of one at 32 in flight"),
        (two_kinds_of_work, "Four instances do 4.00× the work of one at 32 in flight"),
        (half_as_fast_with_the_other, "Four instances do 3.60 to 4.00× the work of one at 32 in flight"),
        (sequential_alone, "sequential does most: 24.8 req/s at 8 in flight"),
        (all_invalid, "No valid trial says how much they do"),
    ],
)
def test_throughput_is_titled_by_the_ratio_or_by_who_does_most(change: Any, title: str) -> None:
    assert charts.throughput(made_up_rows(change, spread=0)).title == title


@pytest.mark.parametrize(
    ("change", "title"),
    [
        (
            plain,
            "At 1 in flight a request takes 168 ms (sequential) and 168 ms (parallel), "
            "at 32 in flight 1,293 and 323 ms",
        ),
        (sequential_alone, "At 1 in flight a request takes 168 ms (sequential), at 32 in flight 1,293 ms"),
        (all_invalid, "No valid trial says how long a request takes"),
    ],
)
def test_latency_is_titled_by_the_times_at_both_ends(change: Any, title: str) -> None:
    assert charts.latency(made_up_rows(change, spread=0)).title == title


def test_what_takes_most_of_the_time_is_named_or_that_nothing_says_it() -> None:
    title = charts.where_the_time_went(made_up_rows(spread=0)).title
    assert title.startswith("Sequential at 32 in flight: 87 % is waiting for slots; parallel at 32 in flight")
    unknown = charts.where_the_time_went(made_up_rows(all_invalid)).title
    assert unknown == "No valid trial says where the time went"


def test_a_chart_of_nothing_says_so() -> None:
    assert charts.throughput(made_up_rows(lambda made: made.clear())).title.startswith("Nothing was measured")
