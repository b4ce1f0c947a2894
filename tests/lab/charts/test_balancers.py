"""Balancers are compared line by line, and only what trials show is said."""

from __future__ import annotations

from typing import Any

import pytest

from lab import charts
from lab.faults import Fault, FaultRun, Incident
from lab.faults.report import Request
from tests.support.chart_rows import made_up_rows, repeat_by_level
from tests.support.measurements import make_measurement


def behind_balancers(made: list[dict[str, Any]]) -> None:
    alone = [row | {"balancers_cpu_cores": ""} for row in made if row["topology"] == "sequential"]
    made[:] = [row for row in made if row["topology"] == "parallel"]
    repeat_by_level(made, "balancer", {"builtin": 1.0, "nginx": 1.1, "envoy": 0.5}, placement="processes")
    made += alone


def run_behind(balancer: str, failed: int, memory_mb: float | None = 40.0) -> FaultRun:
    """Ten requests, one fault."""
    fault = Fault.parse("at 1 kill service2a for 2")
    requests = tuple(
        Request(n / 2, 0.1 + n / 100, "reset" if n < failed else "http_200", n >= failed) for n in range(10)
    )
    return FaultRun(
        topology="parallel",
        balancer=balancer,
        placement="processes",
        rate=2.0,
        duration_s=5.0,
        requests=requests,
        due=10,
        dropped=0,
        executed_twice={},
        incidents=(Incident(fault, 1.0, 3.0, None, None, 8, failed, 0.19),),
        events=(),
        balancers_rss_mb=memory_mb,
        measurement=make_measurement(),
    )


def texts(chart: charts.Chart) -> list[str]:
    return [
        text.get_text() for ax in chart.figure.axes for text in (*ax.get_yticklabels(), ax.title, *ax.texts)
    ]


def lines_of(table: charts.Table) -> dict[str, tuple[str, ...]]:
    return {line[0]: line for line in table.rows}


def test_each_balancer_has_a_line_and_the_topology_without_one_comes_first() -> None:
    chart = charts.balancers(made_up_rows(behind_balancers))
    assert [name for name in texts(chart) if name in {"none (sequential)", "builtin", "envoy", "nginx"}][
        :4
    ] == ["none (sequential)", "builtin", "envoy", "nginx"]


def test_throughput_is_that_of_most_in_flight_and_cpu_that_of_one_of_four_balancers() -> None:
    measured = made_up_rows(behind_balancers, concurrencies=(1, 32), spread=0)
    line = lines_of(charts.balancer_table(measured))["builtin"]
    assert line[2] == "99.0 (99.0–99.0)"
    assert line[5].startswith(f"{1e6 * 0.2 / 99 / 4:.0f}")


def test_the_balancer_that_lets_most_through_is_named() -> None:
    assert "**nginx lets most through, 109 req/s.**" in str(
        charts.balancer_answer(made_up_rows(behind_balancers))
    )


def test_no_balancer_is_named_first_that_chance_could_have_put_there() -> None:
    said = str(charts.balancer_answer(made_up_rows(behind_balancers, spread=0.2)))
    assert said.startswith("**No balancer is shown to let most through**")


def test_an_invalid_trial_is_told_with_its_reason_and_drawn_hollow() -> None:
    def spoil(made: list[dict[str, Any]]) -> None:
        behind_balancers(made)
        made[0] |= {"valid": "false", "invalid_reason": "generator_bound"}

    measured = made_up_rows(spoil)
    assert "trials are valid; the others were generator_bound 1." in str(charts.balancer_answer(measured))
    labels = [
        text.get_text() for legend in charts.balancers(measured).figure.legends for text in legend.texts
    ]
    assert labels == ["invalid trial"]


def test_memory_and_deaths_are_told_of_those_that_were_watched() -> None:
    runs = [run_behind("builtin", 0), run_behind("envoy", 2, None)]
    lines = lines_of(charts.balancer_table(made_up_rows(behind_balancers), runs))
    assert lines["builtin"][-3:] == ("40", "0 of 10", "190")
    assert lines["envoy"][-3:] == ("–", "2 of 10", "190")
    assert lines["nginx"][-3:] == ("–", "–", "–")
    said = str(charts.balancer_answer(made_up_rows(behind_balancers), runs))
    assert "Behind builtin an instance died and no request failed." in said
    assert "Requests failed as it died behind envoy (2 of 10)." in said


@pytest.mark.parametrize("names", [["builtin"], ["builtin", "nginx", "envoy", "caddy"]])
def test_every_run_has_a_panel_of_its_own(names: list[str]) -> None:
    chart = charts.deaths(*(run_behind(name, place) for place, name in enumerate(names)))
    assert [ax.get_title(loc="left") for ax in chart.figure.axes] == [
        f"{name}: {place} of 10 failed" for place, name in enumerate(names)
    ]
    assert "Behind builtin no request failed" in chart.caption
