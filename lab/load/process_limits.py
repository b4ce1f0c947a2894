"""What this process has used of the processor, and how long it waited for it.

How many files a generator may have open at once: a connection is one of them.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadParameter

__all__ = ["ProcessUsage", "raise_fd_limit", "read_usage"]

_SCHEDSTAT = Path("/proc/self/schedstat")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Seconds since the process began. `run_delay_s` (ready, but not let run) is None but on Linux."""

    cpu_s: float
    run_delay_s: float | None


def read_usage() -> ProcessUsage:
    """User and system time of the process, and the run delay of its main thread (/proc/self/schedstat)."""
    delay = None
    if sys.platform == "linux":
        try:
            delay = int(_SCHEDSTAT.read_bytes().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):  # a kernel built without CONFIG_SCHED_INFO
            delay = None
    return ProcessUsage(time.process_time(), delay)


_OTHERS = 32
"""What is open beside the connections, with some to spare."""


def raise_fd_limit(connections: int) -> None:
    """See to it that this process may have so many connections, as far as the system leaves that to it.

    Else those it could not open would count as failures of the server. Raises BadParameter beyond that.
    """
    wanted = connections + _OTHERS
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now == resource.RLIM_INFINITY or now >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    except (OSError, ValueError) as error:
        raise BadParameter(
            f"{connections} connections cannot be had: a process may open {most} files here (ulimit -Hn); "
            "ask for fewer, or for more processes"
        ) from error
