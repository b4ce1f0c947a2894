from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.names import Distribution, WorkKind
from services.slots import QueueFullError, Slots, SlotTimes, burn
from services.work import Work
from tests.support.serving import HeldWork

IDLE = Work(WorkKind.TEXT)


def held(slots: Slots, log: list[Any], name: Any) -> Coroutine[Any, Any, None]:
    """A request that notes when its step is done."""
    return slots.serve(lambda: log.append(name), SlotTimes())


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_step_gives_its_result_and_its_time() -> None:
    times = SlotTimes()
    assert await Slots(Work(mean_ms=20), "a").serve(lambda: "done", times) == "done"
    assert times.work_s >= 0.020


@pytest.mark.parametrize("mean_ms", [0.3, 3.4, 7.6])
async def test_waiting_is_never_shorter_than_the_service_time(mean_ms: float) -> None:
    slots = Slots(Work(mean_ms=mean_ms), "a")
    for _ in range(5):
        times = SlotTimes()
        await slots.serve(lambda: None, times)
        assert times.work_s * 1000 >= mean_ms


async def test_no_more_are_served_at_once_than_there_are_slots() -> None:
    slots = Slots(Work(mean_ms=5, slots=3), "a")
    seen: list[int] = []
    await asyncio.gather(*(slots.serve(lambda: seen.append(slots.busy), SlotTimes()) for _ in range(20)))
    assert max(seen) == 3
    assert (slots.busy, slots.waiting) == (0, 0)


async def test_the_first_to_come_is_the_first_to_be_served() -> None:
    slots, log = Slots(Work(mean_ms=1), "a"), list[int]()
    await asyncio.gather(*(held(slots, log, number) for number in range(30)))
    assert log == list(range(30))


async def test_waiting_for_a_slot_is_counted_as_queue_and_not_as_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("services.slots.perf_counter", lambda: now)

    async def spend(duration_s: float) -> None:
        nonlocal now
        await turns()
        now += duration_s

    slots, times = Slots(Work(mean_ms=20), "a"), [SlotTimes(), SlotTimes()]
    monkeypatch.setattr(slots, "_spend", spend)
    await asyncio.gather(*(slots.serve(lambda: None, each) for each in times))
    assert times == [SlotTimes(0.0, 0.020), SlotTimes(0.020, 0.020)]


async def test_a_request_that_finds_slots_and_queue_full_is_refused_at_once() -> None:
    slots, log = Slots(Work(mean_ms=60_000, slots=2, queue_limit=3), "a"), list[int]()
    tasks = [asyncio.ensure_future(held(slots, log, number)) for number in range(5)]
    await turns()
    assert (slots.busy, slots.waiting) == (2, 3)
    with pytest.raises(QueueFullError, match="all 2 slots are busy and 3 requests wait") as caught:
        await held(slots, log, "late")
    assert caught.value.retry_after_s == 90  # three in the queue, a minute each, two slots
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (slots.busy, slots.waiting) == (0, 0)


def test_retry_after_is_at_least_a_second() -> None:
    assert QueueFullError(Work(mean_ms=1, queue_limit=1)).retry_after_s == 1


async def test_a_slot_is_given_back_when_the_step_fails() -> None:
    slots = Slots(IDLE, "a")
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await slots.serve(lambda: 1 // 0, SlotTimes())
    assert slots.busy == 0


@given(cancelled=st.sets(st.integers(0, 9)), after=st.integers(0, 12))
@settings(max_examples=40, deadline=None)
async def test_requests_that_go_away_hold_no_slot_and_take_no_other_ones_turn(
    cancelled: set[int], after: int
) -> None:
    slots, log = Slots(Work(mean_ms=0.2, slots=2), "a"), list[int]()
    tasks = [asyncio.ensure_future(held(slots, log, number)) for number in range(10)]
    await turns(after)
    for number in cancelled:
        tasks[number].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (slots.busy, slots.waiting) == (0, 0)
    assert log == sorted(log)
    assert set(log) >= set(range(10)) - cancelled


async def test_a_request_that_goes_away_as_its_turn_comes_passes_the_slot_on() -> None:
    slots, log = Slots(Work(mean_ms=1), "a"), list[int]()
    work = HeldWork(slots)
    tasks = [asyncio.ensure_future(held(slots, log, number)) for number in range(3)]
    await turns()
    slots._leave()  # gives the slot to the second, which is told only at the next turn of the loop
    slots.busy += 1
    tasks[1].cancel()
    work.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log == [0, 2]
    assert slots.waiting == 0


def test_burnt_time_is_the_worker_threads_own_cpu_time() -> None:
    before = time.thread_time()
    burn(0.02, threading.Event())
    assert 0.02 <= time.thread_time() - before < 0.04


def test_burning_stops_when_told() -> None:
    stop = threading.Event()
    stop.set()
    before = time.thread_time()
    burn(10, stop)
    assert time.thread_time() - before < 1


async def test_while_one_request_burns_the_loop_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    beaten = threading.Event()

    def burn_until_beaten(_: float, stop: threading.Event) -> None:
        while not (beaten.is_set() or stop.is_set()):
            sum(range(500))

    monkeypatch.setattr("services.slots.burn", burn_until_beaten)
    slots = Slots(Work(WorkKind.CPU, mean_ms=100), "a")
    task = asyncio.ensure_future(slots.serve(lambda: None, SlotTimes()))
    for _ in range(10):
        await asyncio.sleep(0.001)
        assert not task.done()
    beaten.set()
    await task
    slots.close()


async def test_a_burning_request_holds_its_slot_for_its_service_time() -> None:
    slots, times = Slots(Work(WorkKind.CPU, mean_ms=20), "a"), SlotTimes()
    await slots.serve(lambda: None, times)
    assert times.work_s >= 0.020
    slots.close()


async def test_a_burning_request_that_goes_away_stops_burning() -> None:
    slots = Slots(Work(WorkKind.CPU, mean_ms=60_000), "a")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await slots.serve(lambda: None, SlotTimes())
    slots.work = Work(WorkKind.CPU, mean_ms=1)
    await slots.serve(lambda: None, SlotTimes())
    slots.close()
    for thread in threading.enumerate():
        if thread.name.startswith("a-work"):
            thread.join(10)
            assert not thread.is_alive()


async def test_new_work_holds_for_requests_that_wait() -> None:
    slots = Slots(Work(mean_ms=5), "a")
    work = HeldWork(slots)
    tasks = [asyncio.ensure_future(slots.serve(lambda: None, SlotTimes())) for _ in range(3)]
    await turns()
    slots.work = Work(mean_ms=30)
    work.release()
    await asyncio.gather(*tasks)
    assert work.service_times_s == [0.005, 0.030, 0.030]


async def test_more_slots_are_given_at_once_to_those_who_wait() -> None:
    slots, log = Slots(Work(mean_ms=60_000), "a"), list[int]()
    tasks = [asyncio.ensure_future(held(slots, log, number)) for number in range(4)]
    await turns()
    assert log == [0]
    slots.work = Work(mean_ms=60_000, slots=3)
    await turns()
    assert log == [0, 1, 2]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_text_work_adds_no_time() -> None:
    slots = Slots(Work(WorkKind.TEXT, mean_ms=60_000, distribution=Distribution.EXPONENTIAL), "a")
    assert await asyncio.wait_for(slots.serve(lambda: "made", SlotTimes()), 10) == "made"
