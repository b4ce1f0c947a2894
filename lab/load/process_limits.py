"""What the system grants a generator's process: processor time, and open files, one a connection."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lab.errors import BadParameter

__all__ = ["ProcessUsage", "raise_fd_limit", "read_usage", "usage_between"]

_SCHEDSTAT = Path("/proc/self/schedstat")
_OTHER_FILES = 32
"""What is open beside the connections, with some to spare."""


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Seconds since the process began."""

    cpu_s: float
    run_delay_s: float | None
    """Ready, and not let run. None but on Linux."""


def read_usage() -> ProcessUsage:
    """Read the processor time of the process and its main thread's run delay (/proc/self/schedstat)."""
    delay = None
    if sys.platform == "linux":
        try:
            delay = int(_SCHEDSTAT.read_bytes().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):  # a kernel built without CONFIG_SCHED_INFO
            delay = None
    return ProcessUsage(time.process_time(), delay)


def usage_between(
    samples: Sequence[tuple[int, ProcessUsage]], begin_ns: int, end_ns: int
) -> tuple[float, float | None]:
    """Return processor time and run delay between two times, both in seconds a second.

    `samples` are (time in ns, usage), between which usage is interpolated. The delay is None where a sample
    has none.
    """
    times = [at for at, _ in samples]
    span = (end_ns - begin_ns) / 1e9

    def used(values: list[float]) -> float:
        return float(np.interp(end_ns, times, values) - np.interp(begin_ns, times, values)) / span

    delays = [usage.run_delay_s for _, usage in samples if usage.run_delay_s is not None]
    return used([usage.cpu_s for _, usage in samples]), used(delays) if len(delays) == len(samples) else None


def raise_fd_limit(connections: int) -> None:
    """Raise the limit of open files so that this process may have that many connections.

    Those it could not open would count as failures of the server. Raises BadParameter for more than the
    system allows.
    """
    wanted = connections + _OTHER_FILES
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
