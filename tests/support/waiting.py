"""Waiting for an event rather than for a time: a test that must wait does so with one of these."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LIMIT_S = 40.0
"""After this long a wait is in vain, so that the test fails alone."""


def wait_until(holds: Callable[[], object]) -> None:
    """Wait in a thread until something holds; fail the test where it does not come to hold."""
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


async def eventually(holds: Callable[[], object]) -> None:
    """Wait in a coroutine until something holds. Raises TimeoutError where it does not come to hold."""
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
