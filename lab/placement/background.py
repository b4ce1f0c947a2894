"""What servers need that share a process with a notebook: a thread, a clock of their own, and no pauses.

BackgroundLoop is an event loop in a thread of its own, beside a loop that must not be disturbed, or none.
ThreadClock tells the CPU time of the servers' threads apart from the rest of the process. GC_TUNING keeps
Python's collector of cyclic garbage from pausing them.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from lab.errors import PlacementError
from services.loops import new_event_loop

__all__ = ["GC_TUNING", "BackgroundLoop", "ThreadClock"]

T = TypeVar("T")

CANCEL_S = 0.5
"""How long tasks cancelled at the end may take to finish."""


class BackgroundLoop:
    """One thread and its event loop, from `start` to `close`."""

    def __init__(self, name: str) -> None:
        self._loop = new_event_loop()
        # A daemon, so that a server that blocks for ever does not keep the process from ending.
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread. Coroutines given to `run` wait until its loop runs."""
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Run a coroutine on the loop and wait for its result in the calling thread.

        Cancels the coroutine and raises TimeoutError after `timeout_s` seconds. Raises PlacementError where
        the thread is not running.
        """
        if not self.thread.is_alive():
            work.close()
            raise PlacementError(f"{self.thread.name} is not running")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout_s)
        except BaseException:  # KeyboardInterrupt too: with no caller left, the work must not go on
            future.cancel()
            raise

    def close(self, timeout_s: float) -> None:
        """Cancel what still runs on the loop and end the thread.

        Raises PlacementError if the thread does not end within `timeout_s` seconds.
        """
        if self.thread.is_alive():
            with suppress(RuntimeError):  # the loop closed between the question and the call
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
            # Unlike asyncio.Runner this waits for no worker thread: one may compute for a long time yet.
            asyncio.set_event_loop(None)
            self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CANCEL_S)


_TASKS = Path("/proc/self/task")
_GRPC_POLLER = "(_poll_wrapper)"
"""The end of the name of the thread that receives gRPC's events: one, until the process ends."""


class ThreadClock:
    """A clock of the CPU time that a topology's threads use: its loop, the workers it calls on, gRPC's own.

    Those are all threads of the process except the Python threads that existed before the clock. Where the
    system does not tell threads apart (all but Linux), the clock counts the whole process's CPU time.
    """

    def __init__(self) -> None:
        self._process_before = time.process_time()
        self._not_ours = {
            thread.native_id for thread in threading.enumerate() if not thread.name.endswith(_GRPC_POLLER)
        }
        self._before = _cpu_seconds()
        self._last_seen: dict[int, float] = {}

    def seconds(self) -> float:
        """Return the CPU seconds since the clock was made. A thread that ended counts as last seen."""
        if not self._before:
            return time.process_time() - self._process_before
        for task, seconds in _cpu_seconds().items():
            if task not in self._not_ours:
                self._last_seen[task] = seconds - self._before.get(task, 0.0)
        return sum(self._last_seen.values())


def _cpu_seconds() -> dict[int, float]:
    """Return CPU seconds by thread, from /proc/self/task; empty where there is no such folder."""
    found = {}
    for task in _TASKS.glob("*"):
        try:
            found[int(task.name)] = int((task / "schedstat").read_bytes().split()[0]) / 1e9
        except (OSError, IndexError, ValueError):  # the thread ended between the two lines
            continue
    return found


THRESHOLDS = (10_000, 20, 100)
"""Sixteen requests in flight hold more objects than the usual threshold of 700, so that nearly every
request began a collection; with the objects of pandas and a notebook to visit, collections took a seventh
of the time."""


class _GcTuning:
    """A context in which collections are rarer and leave out all earlier objects. It can be nested."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._usual = gc.get_threshold()

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._usual = gc.get_threshold()
                gc.set_threshold(*THRESHOLDS)
            gc.freeze()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                gc.unfreeze()
                gc.set_threshold(*self._usual)


GC_TUNING = _GcTuning()
"""The only one: the collector belongs to the whole process."""
