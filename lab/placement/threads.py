"""CPU time of the threads that servers run in, told apart from the rest of the process."""

from __future__ import annotations

import threading
import time
from pathlib import Path

__all__ = ["ThreadClock"]

_TASKS = Path("/proc/self/task")
_GRPC_POLLER = "(_poll_wrapper)"
"""What the thread is called in which gRPC's events come: one for the process, and there to the end of it."""


class ThreadClock:
    """CPU seconds of a topology's threads since this was made: its loop, the workers it calls on, gRPC's own.

    That is every thread of the process but those of Python that were there before. Where the system does not
    tell of single threads (all but Linux), it is the whole process's CPU time since then.
    """

    def __init__(self) -> None:
        self._process_before = time.process_time()
        self._not_ours = {
            thread.native_id for thread in threading.enumerate() if not thread.name.endswith(_GRPC_POLLER)
        }
        self._before = _cpu_seconds()
        self._last_seen: dict[int, float] = {}

    def seconds(self) -> float:
        """The sum so far. A thread that ended counts with what it had when last asked."""
        if not self._before:
            return time.process_time() - self._process_before
        for task, seconds in _cpu_seconds().items():
            if task not in self._not_ours:
                self._last_seen[task] = seconds - self._before.get(task, 0.0)
        return sum(self._last_seen.values())


def _cpu_seconds() -> dict[int, float]:
    """CPU time by thread, from /proc/self/task; nothing where there is no such thing."""
    found = {}
    for task in _TASKS.glob("*"):
        try:
            found[int(task.name)] = int((task / "schedstat").read_bytes().split()[0]) / 1e9
        except (OSError, IndexError, ValueError):  # it ended between the two lines
            continue
    return found
