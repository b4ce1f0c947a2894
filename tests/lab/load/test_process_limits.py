"""A generator tells what it has used of the processor, in the window and nowhere else."""

from __future__ import annotations

import sys

import pytest

from lab.load.process_limits import ProcessUsage, read_usage, usage_between


def test_burnt_time_is_seen() -> None:
    before = read_usage()
    while read_usage().cpu_s < before.cpu_s + 0.02:
        sum(range(10_000))
    assert read_usage().cpu_s >= before.cpu_s + 0.02


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_linux_tells_the_run_delay() -> None:
    delay = read_usage().run_delay_s
    assert delay is not None
    assert delay >= 0


def test_usage_of_a_window_is_read_between_the_samples() -> None:
    samples = [
        (second * 10**9, ProcessUsage(cpu, cpu / 10)) for second, cpu in enumerate((0.0, 0.5, 1.5, 1.5))
    ]
    cores, delay = usage_between(samples, 500_000_000, 2_000_000_000)
    assert cores == pytest.approx(1.25 / 1.5)
    assert delay == pytest.approx(0.125 / 1.5)


def test_a_run_delay_that_the_system_does_not_tell_is_unknown() -> None:
    samples = [(0, ProcessUsage(0.0, None)), (10**9, ProcessUsage(0.2, None))]
    assert usage_between(samples, 0, 10**9) == (pytest.approx(0.2), None)
