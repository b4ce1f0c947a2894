"""The event loop: uvloop where it is installed, plain asyncio elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

try:
    import uvloop
except ImportError:  # no wheel for this platform: slower, and otherwise the same
    uvloop = None  # type: ignore[assignment]

__all__ = ["loop_name", "new_event_loop", "run"]

T = TypeVar("T")

new_event_loop: Callable[[], asyncio.AbstractEventLoop] = (
    uvloop.new_event_loop if uvloop else asyncio.new_event_loop
)
"""Make a loop of the fastest kind installed."""


def loop_name() -> str:
    """Return which kind of loop `new_event_loop` makes: `uvloop` or `asyncio`."""
    return "uvloop" if uvloop else "asyncio"


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end as `asyncio.run` does, on a loop of the fastest kind installed."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
