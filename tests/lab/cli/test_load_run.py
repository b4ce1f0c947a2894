"""A row of `lab load`: which cell it is a trial of, and how it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.arrivals import Closed, Ramp, Steps
from lab.cli.load_report import Details, row_text
from lab.cli.load_run import cell_of
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.measurement import Measurement
from lab.measure.statistics import Interval
from lab.measure.validity import InvalidReason
from tests.support.measurements import make_measurement

SPEC = LoadSpec(url="http://127.0.0.1:1/", load=Ramp(100, 300))
SURE = Details(intervals={50: Interval(160.0, 158.5, 161.0), 95: Interval(180.0, 175.0, 190.0)})


@pytest.mark.parametrize(
    "change",
    [
        {"load": Ramp(50, 350)},
        {"load": Steps((100, 300))},
        {"load": Closed(4)},
        {"body": b"text"},
        {"body": PipelineBody(100)},
        {"headers": (("X-Colour", "green"),)},
        {"max_connections": 8},
        {"read_timeout_s": 1.0},
        {"duration_s": 5.0},
    ],
    ids=str,
)
def test_another_load_or_request_is_another_cell(change: dict[str, Any]) -> None:
    assert cell_of(replace(SPEC, **change)) != cell_of(SPEC)


def test_users_that_think_longer_are_another_cell() -> None:
    assert cell_of(replace(SPEC, load=Closed(4))) != cell_of(replace(SPEC, load=Closed(4, think_time_s=1.0)))


@pytest.mark.parametrize(
    "change", [{"seed": 7}, {"processes": 2}, {"cpus": (1,)}, {"warmup_s": 3.0}], ids=str
)
def test_how_it_was_measured_makes_no_other_cell(change: dict[str, Any]) -> None:
    assert cell_of(replace(SPEC, **change)) == cell_of(SPEC)


@pytest.fixture
def measured() -> Measurement:
    return make_measurement()


def test_each_percentile_has_its_interval_and_one_that_cannot_be_told_a_dash(measured: Measurement) -> None:
    assert "95 % interval p50 158–161  p95 175–190  p99 –  ms" in row_text(SPEC, measured, SURE)


def test_of_a_latency_that_is_not_to_be_believed_no_interval_is_said(measured: Measurement) -> None:
    said = row_text(SPEC, measured.invalidated(frozenset({InvalidReason.NOT_STEADY})), SURE)
    assert "95 % interval" not in said
    assert "--show-invalid" in said


def test_what_is_not_to_be_believed_is_printed_when_asked_for_and_marked(measured: Measurement) -> None:
    invalid = measured.invalidated(frozenset({InvalidReason.NOT_STEADY}))
    said = row_text(SPEC, invalid, Details(doubtful={"mean": 160.0, "p50": 158.0})).splitlines()
    assert "not believed  mean 160  p50 158  ms" in said
    assert "verdict       invalid, so what is not believed may be wrong: not_steady" in said


def outcome_of(measured: Measurement, **changes: Any) -> Measurement:
    return replace(measured, outcome=replace(measured.outcome, **changes))


def test_statuses_that_are_no_plain_success_are_said_with_what_they_mean(measured: Measurement) -> None:
    said = row_text(SPEC, measured, Details(statuses={"http_302": 1942, "http_200": 3}))
    assert "\nstatuses      http_302=1942 http_200=3\n" in said
    assert "http_302: redirects are not followed" in said
    assert "statuses" not in row_text(SPEC, measured, Details(statuses={"http_200": 60}))


@pytest.mark.parametrize(
    ("failures", "hints"),
    [
        ("http_405=60", ["--method", "--body"]),
        ("http_422=60", ["--body", "Content-Type"]),
        ("http_415=60", ["Content-Type: application/json"]),
        ("http_401=60", ["--header"]),
    ],
)
def test_a_status_that_a_request_brings_about_has_a_hint(
    measured: Measurement, failures: str, hints: list[str]
) -> None:
    said = row_text(SPEC, outcome_of(measured, succeeded=0, failed=60, failures=failures), Details())
    assert all(hint in said for hint in hints)


def test_a_run_whose_every_answer_is_an_error_prints_no_rate(measured: Measurement) -> None:
    nothing = outcome_of(measured, succeeded=0, failed=60, failures="http_500=60", throughput_rps=98.0)
    said = row_text(SPEC, nothing, Details())
    assert said.splitlines()[0] == "outcome       nothing succeeded: http_500 ×60"
    assert "\nthroughput    none\n" in said
    assert "98" not in said


def test_each_class_of_failure_is_said_with_what_the_first_was_about(measured: Measurement) -> None:
    said = row_text(SPEC, measured, Details(errors={"refused": "127.0.0.1:1: nothing listens there"}))
    assert "\nfailures      refused=2\n              refused: 127.0.0.1:1: nothing listens there\n" in said


def test_where_nothing_began_in_the_window_the_failures_of_the_whole_run_are_said(
    measured: Measurement,
) -> None:
    nothing = outcome_of(measured, requests=0, succeeded=0, failed=0, failures=None)
    said = row_text(SPEC, nothing, Details(outside={"connect_timeout": 1}))
    assert "nothing succeeded: connect_timeout ×1 before or after what was measured" in said.splitlines()[0]
    some = row_text(SPEC, measured, Details(outside={"reset": 3}))
    assert "outside       reset=3 before or after what was measured" in some


def test_what_the_generator_itself_lacked_is_said_with_the_remedy(measured: Measurement) -> None:
    said = row_text(SPEC, measured, Details(shortage="all 256 connections are in use"))
    assert "own limits    all 256 connections are in use" in said


def test_an_interrupted_run_is_marked_before_anything_else(measured: Measurement) -> None:
    assert row_text(SPEC, measured, Details(interrupted=True)).startswith("interrupted ")


def test_what_was_seen_of_a_warm_up_is_not_called_measured(measured: Measurement) -> None:
    said = row_text(SPEC, measured, Details(interrupted=True, before_window=True))
    assert said.startswith("interrupted   so all figures are of the warm-up")
    assert " s of warm-up\n" in said
    assert "s measured" not in said


def test_programs_that_were_in_the_way_are_named(measured: Measurement) -> None:
    invalid = measured.invalidated(frozenset({InvalidReason.GENERATOR_BOUND}))
    said = row_text(SPEC, invalid, Details(others=["cc1plus (1.8 cores)", "node (0.2 cores)"]))
    assert "others: cc1plus (1.8 cores), node (0.2 cores) computed meanwhile" in said


def test_a_number_that_others_moved_is_printed_when_asked_for_though_the_row_is_valid(
    measured: Measurement,
) -> None:
    health = replace(measured.health, disturbance_share=0.2, disturbed_by="others")
    moved = replace(outcome_of(measured, response_time_mean_ms=None), health=health)
    assert "--show-invalid prints" in row_text(SPEC, moved, Details())
    said = row_text(SPEC, moved, Details(doubtful={"mean": 160.0}, doubtful_rps=98.0)).splitlines()
    assert {"not believed  mean 160  ms", "not believed  98 req/s"} <= set(said)
