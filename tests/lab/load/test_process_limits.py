"""A generator tells what it has used of the processor, in the window and nowhere else."""

from __future__ import annotations

import sys
import threading

import pytest

from lab.load.process_limits import WAIT_EDGES_MS, ProcessUsage, read_threads, read_usage, usage_between


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
    used = usage_between(samples, 500_000_000, 2_000_000_000)
    assert used.cpu_cores == pytest.approx(1.25 / 1.5)
    assert used.run_delay == pytest.approx(0.125 / 1.5)


def test_one_long_wait_and_many_short_ones_are_told_apart() -> None:
    def longest_ms(slices: int, gap_ms: int) -> float:
        samples = [(0, ProcessUsage(0.0, 0.0, 0)), (gap_ms * 10**6, ProcessUsage(0.0, 0.03, slices))]
        waits = usage_between(samples, 0, gap_ms * 10**6).waits
        return next(edge for edge, count in zip(WAIT_EDGES_MS, waits, strict=True) if count)

    assert longest_ms(slices=1, gap_ms=50) == pytest.approx(25, rel=0.2)
    assert longest_ms(slices=1000, gap_ms=30) < 0.3


def test_a_run_delay_that_the_system_does_not_tell_is_unknown() -> None:
    samples = [(0, ProcessUsage(0.0, None)), (10**9, ProcessUsage(0.2, None))]
    used = usage_between(samples, 0, 10**9)
    assert (used.cpu_cores, used.run_delay) == (pytest.approx(0.2), None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_every_thread_of_a_process_is_counted_and_a_process_that_is_gone_has_none() -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        assert {threading.get_native_id(), thread.native_id} <= read_threads().keys()
    finally:
        over.set()
        thread.join()
    assert read_threads(2**22 + 1) == {}
