"""Deadlines call each object once, at its time, with one timer for all."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wire import Deadlines
from services.wire.deadlines import RESOLUTION_S

ROUNDING_S = 1e-9


class FakeLoop:
    """A loop whose time a test moves by hand, and whose timers it counts."""

    def __init__(self):
        self.now = 0.0
        self.timers = []
        self.set = 0

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        self.set += 1
        timer = FakeTimer(max(self.now, self.now + delay), callback)
        self.timers.append(timer)
        return timer

    def run_to(self, until):
        while due := [t for t in self.timers if not t.cancelled and t.at <= until]:
            timer = min(due, key=lambda t: t.at)
            self.timers.remove(timer)
            self.now = timer.at
            timer.callback()
        self.now = until


class FakeTimer:
    def __init__(self, at, callback):
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self):
        self.cancelled = True


class Item:
    def __init__(self, loop):
        self.loop, self.called = loop, []

    def on_deadline(self):
        self.called.append(self.loop.now)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30))
def test_each_is_called_once_and_never_late_nor_earlier_than_timers_are_fine(delays):
    loop = FakeLoop()
    deadlines = Deadlines(loop, loop.time)
    items = [Item(loop) for _ in delays]
    for item, delay in zip(items, delays, strict=True):
        deadlines.watch(item, delay)
    loop.run_to(200)
    for item, delay in zip(items, delays, strict=True):
        assert len(item.called) == 1
        assert -ROUNDING_S <= delay - item.called[0] <= RESOLUTION_S + ROUNDING_S
    assert len(deadlines) == 0


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=30), st.data())
def test_what_is_forgotten_is_never_called(delays, data):
    loop = FakeLoop()
    deadlines = Deadlines(loop, loop.time)
    items = [Item(loop) for _ in delays]
    for item, delay in zip(items, delays, strict=True):
        deadlines.watch(item, delay)
    forgotten = data.draw(st.sets(st.sampled_from(items)))
    for item in forgotten:
        deadlines.forget(item)
    loop.run_to(200)
    assert {item for item in items if item.called} == set(items) - forgotten


def test_like_time_outs_need_a_timer_once_a_time_out_and_not_once_an_exchange():
    loop = FakeLoop()
    deadlines = Deadlines(loop, loop.time)
    for i in range(10_000):
        loop.run_to(i / 1000)
        item = Item(loop)
        deadlines.watch(item, loop.now + 1)
        deadlines.forget(item)
    assert loop.set < 20


def test_a_later_deadline_replaces_an_earlier_one():
    loop = FakeLoop()
    deadlines = Deadlines(loop, loop.time)
    item = Item(loop)
    deadlines.watch(item, 1)
    deadlines.watch(item, 5)
    loop.run_to(10)
    assert item.called == [pytest.approx(5 - RESOLUTION_S)]


async def test_closing_leaves_no_timer():
    deadlines = Deadlines()
    item = Item(asyncio.get_running_loop())
    deadlines.watch(item, time.monotonic() + 0.01)
    deadlines.close()
    await asyncio.sleep(0.05)
    assert item.called == []
    assert len(deadlines) == 0
