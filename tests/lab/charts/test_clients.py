"""Clients are compared with the costliest within each topology."""

from __future__ import annotations

from typing import Any

from lab import charts
from services.names import ClientName
from tests.support.chart_rows import made_up_rows, repeat_by_level


def with_clients(made: list[dict[str, Any]]) -> None:
    repeat_by_level(made, "client", {"wire": 40.0, "httpx-per-request": 1.0}, work="text", work_ms="")


def lines_of(table: charts.Table) -> dict[str, tuple[str, ...]]:
    return {line[0]: line for line in table.rows}


def test_clients_are_compared_with_the_costliest_within_each_topology() -> None:
    measured = made_up_rows(with_clients, concurrencies=(8,), spread=0)
    chart = charts.clients(measured)
    assert "Sequential: httpx-per-request 25 req/s, wire 990 req/s, **40 times as much**." in chart.caption
    times = {line[:2]: line[4] for line in charts.client_table(measured).rows}
    assert times["httpx-per-request", "parallel"].startswith("1.00")
    assert times["wire", "parallel"].startswith("40.0")


def test_what_the_documents_say_is_judged_client_by_client() -> None:
    measured = made_up_rows(with_clients, concurrencies=(1, 3))
    said = str(charts.client_answer(measured, made_up_rows(with_clients, concurrencies=(8,))))
    assert said.count("Sequential throughput at concurrency 1") == 2
    assert said.index("With `httpx-per-request`") < said.index("With `wire`")


def test_every_client_has_its_place_in_the_order() -> None:
    def all_clients(made: list[dict[str, Any]]) -> None:
        repeat_by_level(made, "client", dict.fromkeys(map(str, ClientName), 1.0), work="text", work_ms="")

    assert {line[0] for line in charts.client_table(made_up_rows(all_clients)).rows} == set(ClientName)
