"""A row as a person reads it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.arrivals import Constant
from lab.cli.report import report
from lab.load.spec import LoadSpec
from lab.measure.measurement import Measurement
from lab.measure.statistics import Interval
from lab.measure.validity import InvalidReason

SPEC = LoadSpec(url="http://127.0.0.1:1/", load=Constant(100))
INTERVALS = {50: Interval(160.0, 158.5, 161.0), 95: Interval(180.0, 175.0, 190.0)}


@pytest.fixture
def measured(make_measurement: Callable[..., Measurement]) -> Measurement:
    return make_measurement()


def test_each_percentile_has_its_interval_and_one_that_cannot_be_told_a_dash(measured: Measurement) -> None:
    assert "95 % interval p50 158–161  p95 175–190  p99 –  ms" in report(SPEC, measured, INTERVALS)


def test_of_a_latency_that_is_not_to_be_believed_no_interval_is_said(measured: Measurement) -> None:
    invalid = measured.invalidated(frozenset({InvalidReason.NOT_STEADY}))
    assert "95 % interval" not in report(SPEC, invalid, INTERVALS)
