"""A service is searched for the highest rate that keeps a goal, and measured on the way there."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.arrivals import Load
from lab.errors import BadParameter, RemoteRefused
from lab.measure.conditions import Condition
from lab.measure.measurement import Measurement
from lab.placement.ports import reserved_offset
from lab.results import read
from lab.results.csv_file import check, read_measurements
from lab.saturation import Ending, Saturation, SearchSpec
from lab.sweep import Target, find_limit, open_target, rate_sweep, run_rates, shares_of
from lab.sweep.windows import Windows
from lab.topology import Topology
from tests.support.measurements import make_measurement


@pytest.fixture
def example() -> Iterator[Target]:
    with reserved_offset(Topology.sequential()) as offset:
        yield open_target(port_offset=offset)


def saturation(
    highest_kept: float | None, ending: Ending = Ending.SETTLED, probes: tuple[Measurement, ...] = ()
) -> Saturation:
    goal = (Condition.parse("p95=200ms"),)
    return Saturation(SearchSpec(goal=goal), highest_kept, 120.0, ending, probes)


def test_a_header_may_be_a_number() -> None:
    assert open_target("http://127.0.0.1/", headers={"X-Limit": 5}).spec.headers == (("X-Limit", "5"),)


def test_an_example_is_up_while_it_is_loaded_and_gone_whatever_happens_then(example: Target) -> None:
    port = int(example.spec.url.split(":")[2].split("/")[0])
    with suppress(ZeroDivisionError), example.up():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        connection.close()
        _ = 1 / 0
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port, timeout=10).connect()


def test_a_url_is_taken_as_it_is_and_nothing_is_started_for_it() -> None:
    target = open_target("http://127.0.0.1:1/a", method="post", headers={"x": "y"}, body="text")
    assert (target.spec.method, target.spec.headers, target.spec.body) == ("POST", (("x", "y"),), b"text")
    assert str(target) == "your service: POST http://127.0.0.1:1/a"
    with target.up():
        pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", ""])
def test_a_target_that_one_generator_is_too_few_for_has_more(url: str) -> None:
    assert open_target(url, processes=3).spec.processes == 3
    with pytest.raises(BadParameter, match="processes"):
        open_target(url, processes=0)


def test_a_stranger_is_not_loaded_by_a_typo() -> None:
    with pytest.raises(RemoteRefused):
        open_target("http://192.0.2.1/")
    assert open_target("http://192.0.2.1/", remote=True).spec.remote
    with pytest.raises(BadParameter):
        open_target("no url")


def test_every_rate_is_driven_as_often_as_asked_in_shuffled_order(
    example: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_sweep, "WINDOWS", Windows(answers=5, shortest_s=0.3))
    path = run_rates(example, [40, 60], trials=2, duration_s=0.3, folder=tmp_path, redo_invalid=False)
    assert check(path) == 4
    rows = read_measurements(path)
    assert [row.what.trial for row in rows] == [1, 1, 2, 2]
    assert sorted(row.factors.requested_rate or 0 for row in rows) == [40, 40, 60, 60]
    assert {row.factors.topology for row in rows} == {"an example that the lab starts"}
    # A machine that stalls may let none through in one short window, but not in all of them.
    assert any(row.outcome.succeeded for row in rows)
    assert not any(row.outcome.failed for row in rows)


def test_trials_that_others_spoilt_are_made_up_for_with_numbers_of_their_own(
    example: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_sweep, "WINDOWS", Windows(answers=5, shortest_s=0.3))
    verdicts, measure = iter(["machine_busy", "", ""]), rate_sweep.measure

    def judged(*arguments: Any, **named: Any) -> Measurement:
        row = measure(*arguments, **named)
        row = replace(row, health=replace(row.health, valid=True, invalid_reason=None))
        reason = next(verdicts)
        return row.invalidated([reason]) if reason else row

    monkeypatch.setattr(rate_sweep, "measure", judged)
    path = run_rates(example, [60], trials=2, duration_s=0.3, folder=tmp_path)
    assert [(row.what.trial, row.health.valid) for row in read_measurements(path)] == [
        (1, False),
        (2, True),
        (3, True),
    ]


def test_a_limit_is_searched_with_probes_of_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Load] = []

    def probing(base: Any, factors: Any, **_: Any) -> Any:
        assert (base.url, factors.topology) == ("http://127.0.0.1:1/", "your service")
        return probe

    def probe(load: Load, _: float) -> Measurement:
        asked.append(load)
        return make_measurement()

    def saturate(question: Any, probe: Any) -> Saturation:
        probe(question.load(50.0), 1.0)
        assert [str(condition) for condition in question.goal] == ["p95 <= 200 ms", "errors <= 0"]
        return saturation(100.0)

    monkeypatch.setattr(rate_sweep, "probing", probing)
    monkeypatch.setattr(rate_sweep, "saturate", saturate)
    target = open_target("http://127.0.0.1:1/")
    assert find_limit(target, "p95=200ms, errors=0", arrivals="constant").highest_kept == 100
    assert [load.requested_rate for load in asked] == [50]


@pytest.mark.parametrize("wrong", [{"slo": "quickly"}, {"slo": ""}, {"slo": "p95=1s", "arrivals": "closed"}])
def test_a_goal_or_arrivals_that_there_are_not_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(BadParameter):
        find_limit(open_target("http://127.0.0.1:1/"), **wrong)


def test_rates_lead_up_to_the_limit_and_there_are_none_without_one() -> None:
    assert shares_of(saturation(97.56)) == [19.5, 39, 58.5, 78, 87.8, 97.6]
    assert shares_of(saturation(None)) == []


def test_without_a_rate_nothing_is_started_and_the_result_has_no_rows(tmp_path: Path) -> None:
    nowhere = open_target("http://127.0.0.1:1/")
    assert len(read(run_rates(nowhere, [], folder=tmp_path))) == 0
