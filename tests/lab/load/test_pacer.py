"""The pacer hands out every intended start once, never early, and never moves one."""

from __future__ import annotations

import asyncio
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lab.load.pacer import NEVER, Pacer, PendingStarts

times = st.lists(st.integers(0, 1000), max_size=80).map(sorted)
moments = st.lists(st.integers(0, 1200), max_size=30).map(sorted)


@given(times, moments)
def test_whatever_the_moments_of_asking_each_start_comes_once_in_order_and_not_early(starts, asked) -> None:
    pending = PendingStarts(np.array(starts, dtype=np.int64))
    handed: list[int] = []
    for now in asked:
        found = pending.due(now)
        assert all(start <= now for start in found)
        handed += found
        assert pending.next_ns > now
        assert pending.left == len(starts) - len(handed)
    assert handed == [start for start in starts if asked and start <= asked[-1]]


@given(times, times)
def test_starts_that_are_added_come_in_their_turn(planned, added) -> None:
    pending = PendingStarts(np.array(planned, dtype=np.int64), start_ns=10)
    for at in added:
        pending.add(at)
    assert pending.due(2000) == sorted([start + 10 for start in planned] + added)
    assert (pending.left, pending.next_ns) == (0, NEVER)


async def test_a_late_pacer_keeps_every_intended_start_and_tells_how_late_it_was() -> None:
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
    await done.wait()
    pacer.close()
    assert issued == [start + n * 1_000_000 for n in range(10)]
    assert [intended for intended, _ in pacer.lags_ns] == issued
    assert all(lag >= 40_000_000 for _, lag in pacer.lags_ns)
