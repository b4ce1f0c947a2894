"""A timer expires once for every time it is set, never early, on every event loop."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import pytest

from lab.load.timers import SpinTimer, TimerfdTimer, new_timer
from services.loops import new_event_loop

TIMERS = [SpinTimer, *([TimerfdTimer] if sys.platform == "linux" else [])]


@pytest.fixture(params=[asyncio.new_event_loop, new_event_loop], ids=["asyncio", "fastest"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run the tests here on asyncio's own loop too, which stands in where there is no uvloop."""
    return "asyncio", {"loop_factory": request.param}


@pytest.mark.parametrize("kind", TIMERS)
async def test_a_timer_never_expires_early(kind: type[SpinTimer | TimerfdTimer]) -> None:
    expired = asyncio.Event()
    timer = kind(asyncio.get_running_loop(), expired.set)
    for wait in (0, 300_000, 5_000_000, -1_000_000):
        expired.clear()
        at = time.monotonic_ns() + wait
        timer.set(at)
        await expired.wait()
        assert time.monotonic_ns() >= at
    timer.close()


@pytest.mark.parametrize("kind", TIMERS)
async def test_a_timer_never_expires_early_once_it_knows_how_long_a_wake_up_takes(
    kind: type[SpinTimer | TimerfdTimer],
) -> None:
    expired = asyncio.Event()
    timer = kind(asyncio.get_running_loop(), expired.set)
    for _ in range(200):
        expired.clear()
        at = time.monotonic_ns() + 1_000_000
        timer.set(at)
        await expired.wait()
        assert time.monotonic_ns() >= at
    timer.close()


@pytest.mark.parametrize("kind", TIMERS)
async def test_a_timer_set_anew_forgets_what_it_was_set_to(kind: type[SpinTimer | TimerfdTimer]) -> None:
    expired = asyncio.Event()
    timer = kind(asyncio.get_running_loop(), expired.set)
    timer.set(time.monotonic_ns() + 20_000_000)
    timer.set(time.monotonic_ns() + 60_000_000_000)
    await asyncio.sleep(0.05)
    timer.close()
    assert not expired.is_set()


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")
async def test_linux_keeps_time_with_timerfd() -> None:
    timer = new_timer(asyncio.get_running_loop(), lambda: None)
    timer.close()
    assert timer.name == "timerfd"
