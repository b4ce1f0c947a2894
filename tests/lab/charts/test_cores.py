"""Measured ratios stand beside what cores allow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from lab import charts
from tests.support.chart_rows import made_up_rows, repeat_by_level


def with_cpu_work(made: list[dict[str, Any]]) -> None:
    repeat_by_level(made, "work_ms", {"40": 1.0, "0,0,40,0": 1.0}, work="cpu", placement="processes")
    for row in made:
        twice = row["topology"] == "parallel" and row["work_ms"] != "40"
        row["throughput_rps"] = 19.0 if twice else 10.0


def lines_of(table: charts.Table) -> dict[str, tuple[str, ...]]:
    return {line[0]: line for line in table.rows}


def test_a_ratio_is_held_against_what_the_cores_allow() -> None:
    measured = made_up_rows(with_cpu_work, concurrencies=(16,), spread=0)
    said = str(charts.core_answer(measured, 2))
    assert "Cpu work of 40 ms in all services: measured 1.00 (1.00–1.00)× of at most 1×" in said
    assert (
        "Cpu work of 0,0,40,0 ms: measured 1.90 (1.90–1.90)× of at most 2× with 2 cores, 95% of it." in said
    )
    assert said.startswith("**No: 2 cores carry it with none of this work.**")


def test_a_wide_interval_leaves_the_claim_undecided() -> None:
    def scattered(made: list[dict[str, Any]]) -> None:
        with_cpu_work(made)
        for row in made:
            row["throughput_rps"] *= row["trial"]

    said = str(charts.core_answer(made_up_rows(scattered, concurrencies=(16,)), 2))
    assert "these trials leave it undecided" in said
    assert "**" not in said


def test_the_bounds_are_drawn_as_curves_over_cores() -> None:
    (ax,) = charts.cores(made_up_rows(with_cpu_work, concurrencies=(16,)), 2).figure.axes
    curves = [_curve(line) for line in ax.lines if len(line.get_xdata()) > 2]
    assert [(round(c.loc[1.0], 3), round(c.iloc[-1], 3)) for c in curves] == [(1.0, 4.0), (1.0, 4.0)]


def test_throughput_counts_where_only_the_latency_cannot_be_believed() -> None:
    def doubted(made: list[dict[str, Any]]) -> None:
        with_cpu_work(made)
        for row in made:
            row["response_time_mean_ms"] = ""

    assert "measured 1.90" in str(charts.core_answer(made_up_rows(doubted, concurrencies=(16,), spread=0), 2))


def test_work_without_a_valid_trial_is_named_and_proves_nothing() -> None:
    def doubted(made: list[dict[str, Any]]) -> None:
        with_cpu_work(made)
        for row in made:
            row |= {"valid": "false", "invalid_reason": "machine_busy"}

    said = str(charts.core_answer(made_up_rows(doubted, concurrencies=(16,), spread=0), 2))
    assert said.startswith("**Nothing is shown: no work has a valid trial of both topologies.**")
    assert "nothing that counts was measured, 0 of 6 (machine_busy 6) trials valid." in said


def test_a_ratio_that_touches_what_the_cores_allow_is_met() -> None:
    def four_times(made: list[dict[str, Any]]) -> None:
        repeat_by_level(made, "work_ms", {"0,0,40,0": 1.0}, work="cpu", placement="processes")
        for row in made:
            share = (0.999, 1.0, 1.002)[row["trial"] - 1]
            row["throughput_rps"] = 40 * share if row["topology"] == "parallel" else 10

    said = str(charts.core_answer(made_up_rows(four_times, concurrencies=(16,)), 4))
    assert said.startswith("**4 cores carry it with cpu work of 0,0,40,0 ms.**")


def _curve(line: Any) -> pd.Series[float]:
    xs: Iterable[float] = line.get_xdata()
    return pd.Series(line.get_ydata(), index=list(xs))
