"""Balancers, clients and cores beside each other: every one has its line, and every figure its reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest

from lab import charts
from lab.faults import Fault, FaultRun, Incident
from lab.faults.report import Request
from services.names import ClientName


def retold(made: list[dict[str, Any]], factor: str, rates: dict[str, float], **other: Any) -> None:
    """Every row once for each level of the factor, as fast as that level is."""
    rows = [row | other for row in made]
    made[:] = [
        row
        | {
            factor: level,
            "throughput_rps": row["throughput_rps"] * rate,
            "servers_cpu_cores": 1.0,
            "balancers_cpu_cores": 0.2,
        }
        for row in rows
        for level, rate in rates.items()
    ]


def behind_balancers(made: list[dict[str, Any]]) -> None:
    alone = [row | {"balancers_cpu_cores": ""} for row in made if row["topology"] == "sequential"]
    made[:] = [row for row in made if row["topology"] == "parallel"]
    retold(made, "balancer", {"builtin": 1.0, "nginx": 1.1, "envoy": 0.5}, placement="processes")
    made += alone


def with_clients(made: list[dict[str, Any]]) -> None:
    retold(made, "client", {"wire": 40.0, "httpx-per-request": 1.0}, work="text", work_ms="")


def with_cpu_work(made: list[dict[str, Any]]) -> None:
    retold(made, "work_ms", {"40": 1.0, "0,0,40,0": 1.0}, work="cpu", placement="processes")
    for row in made:
        twice = row["topology"] == "parallel" and row["work_ms"] != "40"
        row["throughput_rps"] = 19.0 if twice else 10.0


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
        measurement=None,  # type: ignore[arg-type]  # no chart of deaths looks at the row
    )


def texts(chart: charts.Chart) -> list[str]:
    return [
        text.get_text() for ax in chart.figure.axes for text in (*ax.get_yticklabels(), ax.title, *ax.texts)
    ]


def lines_of(table: charts.Table) -> dict[str, tuple[str, ...]]:
    return {line[0]: line for line in table.rows}


def test_each_balancer_has_a_line_and_the_topology_without_one_comes_first(rows: Any) -> None:
    chart = charts.balancers(rows(behind_balancers))
    assert [name for name in texts(chart) if name in {"none (sequential)", "builtin", "envoy", "nginx"}][
        :4
    ] == ["none (sequential)", "builtin", "envoy", "nginx"]


def test_throughput_is_that_of_most_in_flight_and_cpu_that_of_one_of_four_balancers(rows: Any) -> None:
    measured = rows(behind_balancers, concurrencies=(1, 32), spread=0)
    line = lines_of(charts.balancer_table(measured))["builtin"]
    assert line[2] == "99.0 (99.0–99.0)"
    assert line[5].startswith(f"{1e6 * 0.2 / 99 / 4:.0f}")


def test_the_balancer_that_lets_most_through_is_named(rows: Any) -> None:
    assert "**nginx lets most through, 109 req/s.**" in str(charts.balancer_answer(rows(behind_balancers)))


def test_no_balancer_is_named_first_that_chance_could_have_put_there(rows: Any) -> None:
    said = str(charts.balancer_answer(rows(behind_balancers, spread=0.2)))
    assert said.startswith("**No balancer is shown to let most through**")


def test_an_invalid_trial_is_told_with_its_reason_and_drawn_hollow(rows: Any) -> None:
    def spoil(made: list[dict[str, Any]]) -> None:
        behind_balancers(made)
        made[0] |= {"valid": "false", "invalid_reason": "generator_bound"}

    measured = rows(spoil)
    assert "(generator_bound 1) trials are valid" in str(charts.balancer_answer(measured))
    labels = [
        text.get_text() for legend in charts.balancers(measured).figure.legends for text in legend.texts
    ]
    assert labels == ["invalid trial"]


def test_memory_and_deaths_are_told_of_those_that_were_watched(rows: Any) -> None:
    runs = [run_behind("builtin", 0), run_behind("envoy", 2, None)]
    lines = lines_of(charts.balancer_table(rows(behind_balancers), runs))
    assert lines["builtin"][-3:] == ("40", "0 of 10", "190")
    assert lines["envoy"][-3:] == ("–", "2 of 10", "190")
    assert lines["nginx"][-3:] == ("–", "–", "–")
    said = str(charts.balancer_answer(rows(behind_balancers), runs))
    assert "Behind builtin an instance died and no request failed." in said
    assert "Requests failed as it died behind envoy (2 of 10)." in said


@pytest.mark.parametrize("names", [["builtin"], ["builtin", "nginx", "envoy", "caddy"]])
def test_every_run_has_a_panel_of_its_own(names: list[str]) -> None:
    chart = charts.deaths(*(run_behind(name, place) for place, name in enumerate(names)))
    assert [ax.get_title(loc="left") for ax in chart.figure.axes] == [
        f"{name}: {place} of 10 failed" for place, name in enumerate(names)
    ]
    assert "Behind builtin no request failed" in chart.caption


def test_clients_are_compared_with_the_costliest_within_each_topology(rows: Any) -> None:
    measured = rows(with_clients, concurrencies=(8,), spread=0)
    chart = charts.clients(measured)
    assert "Sequential: httpx-per-request 25 req/s, wire 990 req/s, **40 times as much**." in chart.caption
    times = {line[:2]: line[4] for line in charts.client_table(measured).rows}
    assert times["httpx-per-request", "parallel"].startswith("1.00")
    assert times["wire", "parallel"].startswith("40.0")


def test_what_the_documents_say_is_judged_client_by_client(rows: Any) -> None:
    measured = rows(with_clients, concurrencies=(1, 3))
    said = str(charts.client_answer(measured, rows(with_clients, concurrencies=(8,))))
    assert said.count("Sequential throughput at concurrency 1") == 2
    assert said.index("With `httpx-per-request`") < said.index("With `wire`")


def test_every_client_has_its_place_in_the_order(rows: Any) -> None:
    def all_clients(made: list[dict[str, Any]]) -> None:
        retold(made, "client", dict.fromkeys(map(str, ClientName), 1.0), work="text", work_ms="")

    assert {line[0] for line in charts.client_table(rows(all_clients)).rows} == set(ClientName)


def test_a_ratio_is_held_against_what_the_cores_allow(rows: Any) -> None:
    measured = rows(with_cpu_work, concurrencies=(16,), spread=0)
    said = str(charts.core_answer(measured, 2))
    assert "Cpu work of 40 ms in all services: measured 1.00 (1.00–1.00)× of at most 1×" in said
    assert (
        "Cpu work of 0,0,40,0 ms: measured 1.90 (1.90–1.90)× of at most 2× with 2 cores, 95% of it." in said
    )
    assert said.startswith("**No: 2 cores carry it with none of this work.**")


def test_a_wide_interval_leaves_the_claim_undecided(rows: Any) -> None:
    def scattered(made: list[dict[str, Any]]) -> None:
        with_cpu_work(made)
        for row in made:
            row["throughput_rps"] *= row["trial"]

    said = str(charts.core_answer(rows(scattered, concurrencies=(16,)), 2))
    assert "these trials leave it undecided" in said
    assert "**" not in said


def test_the_bounds_are_drawn_as_curves_over_cores(rows: Any) -> None:
    (ax,) = charts.cores(rows(with_cpu_work, concurrencies=(16,)), 2).figure.axes
    curves = [_curve(line) for line in ax.lines if len(line.get_xdata()) > 2]
    assert [(round(c.loc[1.0], 3), round(c.iloc[-1], 3)) for c in curves] == [(1.0, 4.0), (1.0, 4.0)]


def test_throughput_counts_where_only_the_latency_cannot_be_believed(rows: Any) -> None:
    def doubted(made: list[dict[str, Any]]) -> None:
        with_cpu_work(made)
        for row in made:
            row |= {"valid": "false", "invalid_reason": "generator_bound", "response_time_mean_ms": ""}

    assert "measured 1.90" in str(charts.core_answer(rows(doubted, concurrencies=(16,), spread=0), 2))


def _curve(line: Any) -> pd.Series[float]:
    xs: Iterable[float] = line.get_xdata()
    return pd.Series(line.get_ydata(), index=list(xs))
