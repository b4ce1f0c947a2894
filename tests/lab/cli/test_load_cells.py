"""Rows of `lab load` are trials of one cell exactly where the same was asked of the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.arrivals import Closed, Ramp, Steps
from lab.cli.load_run import cell_of
from lab.load.spec import LoadSpec, PipelineBody

SPEC = LoadSpec(url="http://127.0.0.1:1/", load=Ramp(100, 300))


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
