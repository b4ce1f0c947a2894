"""A row of `lab load`: which cell it is a trial of, and how it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.arrivals import Closed, Ramp, Steps
from lab.cli.load_run import cell_of, row_text
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.measurement import Measurement
from lab.measure.statistics import Interval
from lab.measure.validity import InvalidReason
from tests.support.measurements import make_measurement

SPEC = LoadSpec(url="http://127.0.0.1:1/", load=Ramp(100, 300))
INTERVALS = {50: Interval(160.0, 158.5, 161.0), 95: Interval(180.0, 175.0, 190.0)}


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
    assert "95 % interval p50 158–161  p95 175–190  p99 –  ms" in row_text(SPEC, measured, INTERVALS)


def test_of_a_latency_that_is_not_to_be_believed_no_interval_is_said(measured: Measurement) -> None:
    invalid = measured.invalidated(frozenset({InvalidReason.NOT_STEADY}))
    assert "95 % interval" not in row_text(SPEC, invalid, INTERVALS)
