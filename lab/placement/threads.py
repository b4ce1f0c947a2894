"""CPU time of the threads that servers run in, told apart from the rest of the process."""

from __future__ import annotations

import threading
import time

__all__ = ["ThreadClock"]


class ThreadClock:
    """CPU seconds of all threads that start after it was made: a topology's loop and the workers it calls on.

    Where the system keeps no clock for single threads (macOS), it is the whole process's CPU time since then.
    """

    def __init__(self) -> None:
        self._before = set(threading.enumerate())
        self._process_before = time.process_time()
        self._last_seen: dict[threading.Thread, float] = {}

    def seconds(self) -> float:
        """The sum so far. A thread that ended counts with what it had when last asked."""
        if not hasattr(time, "pthread_getcpuclockid"):
            return time.process_time() - self._process_before
        for thread in set(threading.enumerate()) - self._before:
            if thread.ident is not None:
                try:
                    clock = time.pthread_getcpuclockid(thread.ident)
                    self._last_seen[thread] = time.clock_gettime(clock)
                except OSError:  # it ended between the two lines
                    continue
        return sum(self._last_seen.values())
