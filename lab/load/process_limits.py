"""What this process has used of the processor, and how long it waited for it."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Usage", "read_usage"]

_SCHEDSTAT = Path("/proc/self/schedstat")


@dataclass(frozen=True, slots=True)
class Usage:
    """Seconds since the process began. `run_delay_s` (ready, but not let run) is None but on Linux."""

    cpu_s: float
    run_delay_s: float | None


def read_usage() -> Usage:
    """User and system time of the process, and the run delay of its main thread (/proc/self/schedstat)."""
    delay = None
    if sys.platform == "linux":
        try:
            delay = int(_SCHEDSTAT.read_bytes().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):  # a kernel built without CONFIG_SCHED_INFO
            delay = None
    return Usage(time.process_time(), delay)
