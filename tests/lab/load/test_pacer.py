"""The pacer hands out every intended start once, never early, and never moves one."""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.load.pacer import NEVER, Pacer, PendingStarts
from lab.load.timers import SpinTimer, TimerfdTimer, new_alarm
from services.loops import new_event_loop

times = st.lists(st.integers(0, 1000), max_size=80).map(sorted)
moments = st.lists(st.integers(0, 1200), max_size=30).map(sorted)


@given(times, moments)
def test_whatever_the_moments_of_asking_each_start_comes_once_in_order_and_not_early(starts, asked) -> None:
    agenda = PendingStarts(np.array(starts, dtype=np.int64))
    handed: list[int] = []
    for now in asked:
        found = agenda.due(now)
        assert all(start <= now for start in found)
        handed += found
        assert agenda.next_ns > now
        assert agenda.left == len(starts) - len(handed)
    assert handed == [start for start in starts if asked and start <= asked[-1]]


@given(times, times)
def test_starts_that_are_added_come_in_their_turn(planned, added) -> None:
    agenda = PendingStarts(np.array(planned, dtype=np.int64), start_ns=10)
    for at in added:
        agenda.add(at)
    assert agenda.due(2000) == sorted([start + 10 for start in planned] + added)
    assert (agenda.left, agenda.next_ns) == (0, NEVER)


ALARMS = [SpinTimer, *([TimerfdTimer] if sys.platform == "linux" else [])]
LOOPS = {"asyncio": asyncio.new_event_loop, "fastest": new_event_loop}


@pytest.mark.parametrize("loop", LOOPS.values(), ids=LOOPS)
@pytest.mark.parametrize("kind", ALARMS)
def test_an_alarm_never_goes_off_early(kind, loop) -> None:
    async def main() -> list[tuple[int, int]]:
        rung: list[tuple[int, int]] = []
        done = asyncio.Event()

        def ring() -> None:
            rung.append((at, time.monotonic_ns()))
            done.set()

        alarm = kind(asyncio.get_running_loop(), ring)
        for wait in (0, 300_000, 5_000_000, -1_000_000):
            done.clear()
            at = time.monotonic_ns() + wait
            alarm.set(at)
            await asyncio.wait_for(done.wait(), 10)
        alarm.close()
        return rung

    with asyncio.Runner(loop_factory=loop) as runner:
        rung = runner.run(main())
    assert len(rung) == 4
    assert all(went_off >= at for at, went_off in rung)


@pytest.mark.parametrize("kind", ALARMS)
def test_an_alarm_set_anew_forgets_what_it_was_set_to(kind) -> None:
    async def main() -> int:
        rung = 0

        def ring() -> None:
            nonlocal rung
            rung += 1

        alarm = kind(asyncio.get_running_loop(), ring)
        alarm.set(time.monotonic_ns() + 1_000_000)
        alarm.set(time.monotonic_ns() + 60_000_000_000)
        await asyncio.sleep(0.05)
        alarm.close()
        await asyncio.sleep(0.01)
        return rung

    assert asyncio.run(main()) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
def test_linux_keeps_time_with_timerfd() -> None:
    async def main() -> str:
        alarm = new_alarm(asyncio.get_running_loop(), lambda: None)
        alarm.close()
        return alarm.name

    assert asyncio.run(main()) == "timerfd"


def test_a_late_pacer_keeps_every_intended_start_and_tells_how_late_it_was() -> None:
    async def main() -> tuple[list[int], list[tuple[int, int]], int]:
        issued: list[int] = []
        done = asyncio.Event()

        def issue(intended_ns: int) -> None:
            issued.append(intended_ns)
            if len(issued) == 10:
                done.set()

        start = time.monotonic_ns()
        pacer = Pacer(PendingStarts(np.arange(10, dtype=np.int64) * 1_000_000, start), issue)
        pacer.start()
        time.sleep(0.05)  # noqa: ASYNC251 (the loop stands still, as it would without a processor)
        await asyncio.wait_for(done.wait(), 10)
        pacer.close()
        return issued, pacer.lags_ns, start

    issued, lags, start = asyncio.run(main())
    assert issued == [start + n * 1_000_000 for n in range(10)]
    assert [intended for intended, _ in lags] == issued
    assert all(lag >= 40_000_000 for _, lag in lags)
