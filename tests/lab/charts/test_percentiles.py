"""The percentiles of one service at several rates, and the rate that it sustains."""

from __future__ import annotations

from typing import Any

import pytest

from lab import charts
from lab.arrivals import LoadModel
from lab.measure.conditions import Condition
from lab.saturation import Ending, Saturation, SearchSpec
from tests.support.chart_rows import made_up_rows


def own(made: list[dict[str, Any]]) -> None:
    """Rows of a service that the lab knows nothing of but its figures."""
    made[:] = [row for row in made if row["topology"] == "sequential"]
    unknown = (
        "replicas",
        "client",
        "work",
        "work_ms",
        "work_distribution",
        "slots",
        "concurrency",
        "think_time_ms",
    )
    for row in made:
        rate = row["concurrency"]
        row |= {"topology": "your service", "load_model": "poisson", "requested_rate": rate}
        row |= {"response_time_p50_ms": 10 + rate, "response_time_p95_ms": 20 + rate}
        row |= dict.fromkeys(unknown, "")


@pytest.fixture
def found() -> Saturation:
    question = SearchSpec(goal=(Condition.parse("p95=200ms"),), model=LoadModel.POISSON)
    return Saturation(question, 32.0, 33.0, Ending.SETTLED, ())


def test_a_percentile_that_is_blank_everywhere_is_left_out(found: Saturation) -> None:
    chart = charts.percentiles(made_up_rows(own), found)
    assert chart.caption == "At 32 req/s: p50 42.0 ms, p95 52.0 ms."
    (ax,) = chart.figure.axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("requested_rate (req/s)", "response_time (ms)")
    marked = {line.get_marker(): list(line.get_ydata()) for line in ax.get_lines()}
    assert marked["o"] == pytest.approx([11, 13, 18, 42])
    assert marked["s"] == pytest.approx([21, 23, 28, 52])
    assert marked["^"] == []


def test_the_rate_that_it_sustains_is_drawn_and_named(found: Saturation) -> None:
    legend = charts.percentiles(made_up_rows(own), found).figure.legends[0]
    named = [text.get_text() for text in legend.get_texts()]
    assert "32 req/s, the highest rate that keeps the goal" in named


def test_the_answer_is_the_rate_and_the_search_for_it(found: Saturation) -> None:
    text = str(charts.capacity_answer(found, made_up_rows(own)))
    assert text.startswith("**The service sustains 32 req/s.** 32 req/s keeps p95 <= 200 ms, 33 req/s")
    assert text.endswith("All 12 trials are valid.")


def test_the_other_charts_know_nothing_of_a_service_but_its_figures() -> None:
    frame = made_up_rows(own)
    assert "what the documents speak of" in charts.throughput(frame).caption
    assert len(charts.cells(frame).rows) == 4
