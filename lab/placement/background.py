"""An event loop in a thread of its own, for code that has no loop, or one that must not be disturbed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from lab.errors import PlacementError
from services.loops import new_event_loop

__all__ = ["BackgroundLoop"]

T = TypeVar("T")

CANCEL_S = 0.5
"""How long tasks that are cancelled at the end may take over it."""


class BackgroundLoop:
    """One thread and its event loop, from `start` to `close`."""

    def __init__(self, name: str) -> None:
        self._loop = new_event_loop()
        # A daemon: a server that blocks for ever must not keep the whole process from ending.
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. What is given to `run` from now on waits until its loop runs."""
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run a coroutine on the loop and wait for it here. Cancels it and raises TimeoutError if late."""
        if not self.thread.is_alive():
            work.close()
            raise PlacementError(f"{self.thread.name} is not running")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except BaseException:  # KeyboardInterrupt too: what nobody waits for must not go on
            future.cancel()
            raise

    def close(self, timeout_s: float) -> None:
        """Cancel what still runs on the loop and end the thread. Raises PlacementError if it does not end."""
        if self.thread.is_alive():
            with suppress(RuntimeError):  # it closed by itself between the question and the call
                self._loop.call_soon_threadsafe(self._loop.stop)
            self.thread.join(timeout_s)
        if self.thread.is_alive():
            raise PlacementError(
                f"{self.thread.name} did not end within {timeout_s:g} s: something blocks its loop"
            )

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(_cancel_all())
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            # Unlike asyncio.Runner this waits for no worker thread: one may burn CPU for a long time yet.
            asyncio.set_event_loop(None)
            self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_S)
