"""The knee and the law of a curve are told with their intervals, or why they cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab import charts
from lab.charts.style import look
from lab.saturation.scalability import ScalabilityLaw
from tests.support.chart_rows import made_up_rows

LEVELS = (1, 2, 4, 8, 16, 32)
EDGE = 0.7
"""The width of the lines that a band ends at."""
LAW = ScalabilityLaw(rate=10, contention=0.05, coherence=0.002)


def lawful(made: list[dict[str, Any]]) -> None:
    """Every throughput by the law, each trial a little above or below it."""
    for row in made:
        rate = float(LAW.throughput(row["concurrency"])) * (0.99, 1.0, 1.01)[row["trial"] - 1]
        row |= {"throughput_rps": rate, "response_time_mean_ms": 1000 * row["concurrency"] / rate}


def flat(made: list[dict[str, Any]]) -> None:
    for row in made:
        row |= {"throughput_rps": 25.0 + 0.1 * row["trial"]}


def loose(made: list[dict[str, Any]]) -> None:
    """Trials so far apart that they say nothing, as of a machine that others use."""
    for row in made:
        row["throughput_rps"] = 10 * (0.3, 1.0, 4.0)[row["trial"] - 1] * (1 + row["concurrency"] / 16)


def opened(made: list[dict[str, Any]]) -> None:
    for row in made:
        row |= {"load_model": "poisson", "requested_rate": row["concurrency"], "concurrency": ""}


def unbelieved(made: list[dict[str, Any]]) -> None:
    """All trials but those at two concurrencies."""
    for row in made:
        row["valid"] = "true" if row["concurrency"] in (1, 2) else "false"


def told(frame: Any) -> dict[str, str]:
    """The line of the sequential curve, by heading."""
    table = charts.scalability_table(frame)
    return dict(zip(table.header, table.rows[0], strict=True))


def test_the_law_behind_a_curve_is_told_with_its_intervals() -> None:
    line = told(made_up_rows(lawful, concurrencies=LEVELS))
    assert line["curve"] == "sequential"
    for heading, truth in (
        ("λ (req/s)", LAW.rate),
        ("contention σ", LAW.contention),
        ("coherence κ", LAW.coherence),
        ("peak concurrency", LAW.peak_concurrency),
        ("peak throughput (req/s)", LAW.peak_throughput),
    ):
        estimate, _, ends = line[heading].rstrip(")").partition(" (")
        low, high = map(float, ends.split("–"))
        assert float(estimate) == pytest.approx(truth, rel=0.05)
        assert low < truth < high
    assert line["fit"] == "misses no point by more than 0.1 %"


def test_the_knee_is_told_and_ringed_and_a_curve_without_a_bend_has_none() -> None:
    bent = made_up_rows(concurrencies=LEVELS)
    (ax,) = charts.scalability(bent).figure.axes
    assert told(bent)["knee (in flight)"] == "4"
    assert sum(line.get_markerfacecolor() == "none" for line in ax.get_lines()) == 2
    straight = made_up_rows(concurrencies=(1, 2, 3))
    (ax,) = charts.scalability(straight).figure.axes
    assert told(straight)["knee (in flight)"] == "at least 3"
    assert not any(line.get_markerfacecolor() == "none" for line in ax.get_lines())
    assert told(made_up_rows(concurrencies=(3,)))["knee (in flight)"] == "–"


def test_a_law_that_the_data_contradict_does_not_fit_and_is_left_out() -> None:
    """Constant work bends at a corner and is flat behind it: the law cannot, and would fall there."""
    frame = made_up_rows(concurrencies=(1, 2, 3, 4, 8, 16, 32), trials=10)
    line = told(frame)
    assert line["fit"].startswith("does not fit: the law misses the throughput at 4 by ")
    assert line["fit"].endswith(", more than trials scatter")
    assert line["λ (req/s)"] == line["peak concurrency"] == "–"
    (ax,) = charts.scalability(frame).figure.axes
    assert not any(drawn.get_linewidth() == EDGE for drawn in ax.get_lines())


def test_without_repeated_trials_a_miss_that_shows_is_no_fit() -> None:
    line = told(made_up_rows(concurrencies=(1, 2, 3, 4, 8, 16, 32), trials=1))
    assert line["fit"].startswith("does not fit: the law misses the throughput at 4 by ")


def test_a_miss_that_scatter_explains_does_not_speak_against_the_law() -> None:
    def scattered(made: list[dict[str, Any]]) -> None:
        lawful(made)
        for row in made:
            row["throughput_rps"] *= (0.85, 1.0, 1.18)[row["trial"] - 1] * (
                1 + 0.02 * (row["concurrency"] % 3)
            )

    assert told(made_up_rows(scattered, concurrencies=LEVELS))["fit"].startswith("misses no point")


def test_a_band_is_drawn_where_the_law_fits() -> None:
    (ax,) = charts.scalability(made_up_rows(lawful, concurrencies=LEVELS)).figure.axes
    assert sum(drawn.get_linewidth() == EDGE for drawn in ax.get_lines()) == 4


@pytest.mark.parametrize(
    ("change", "levels", "remark"),
    [
        (loose, (1, 3, 8, 32), "4 concurrencies are too few to tell its parameters"),
        (None, (1, 3, 8), "no fit: 3 concurrencies with a valid trial, and it takes 4"),
        (unbelieved, LEVELS, "no fit: 2 concurrencies with a valid trial, and it takes 4"),
        (flat, LEVELS, "no fit: flat, throughput grows by less than 10 % over all concurrencies"),
        (opened, LEVELS, "no fit: an open loop has no concurrency of its own"),
    ],
)
def test_why_there_is_no_fit_is_said_and_no_line_is_drawn(
    change: Callable[[list[dict[str, Any]]], None] | None, levels: tuple[int, ...], remark: str
) -> None:
    frame = made_up_rows(change, concurrencies=levels)
    line, chart = told(frame), charts.scalability(frame)
    assert line["fit"].startswith("no fit: ")
    assert remark in line["fit"]
    assert line["λ (req/s)"] == line["peak concurrency"] == "–"
    assert remark in chart.caption
    assert remark in chart.alternative
    (ax,) = chart.figure.axes
    own = [drawn for drawn in ax.get_lines() if drawn.get_color() == look(0).colour]
    assert not any(len(drawn.get_xdata()) > 100 for drawn in own)
