"""What the system grants a process: processor time, thread by thread, and open files, one a connection."""

from __future__ import annotations

import math
import os
import time
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from lab.errors import BadParameter
from services.command import raise_descriptor_limit

__all__ = [
    "WAIT_EDGES_MS",
    "ProcessUsage",
    "ThreadTimes",
    "WindowUsage",
    "raise_fd_limit",
    "read_threads",
    "read_usage",
    "usage_between",
]

_OTHER_FILES = 32
"""What is open beside the connections, with some to spare."""
_SAMPLED_WITHIN_MS = 30.0
"""Samples of a generator that is let run are no further apart."""
WAIT_EDGES_MS = tuple(0.05 * 2 ** (step / 2) for step in range(32))
"""Edges of the classes that waits are counted in: from 0.05 ms to 2.3 s, two for each doubling."""


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """What the scheduler counts of one thread, since it began (Linux, /proc/PID/task/TID/schedstat)."""

    cpu_s: float
    run_delay_s: float
    """Seconds ready and not let run."""
    timeslices: int
    """How often it was let run."""


def read_threads(pid: int | str = "self") -> dict[int, ThreadTimes]:
    """Read what the scheduler counts of every thread of a process, by the thread's id.

    Empty for a process that is gone, and where the system does not tell: all but Linux.
    """
    counted = _schedstats(pid).items()
    return {task: ThreadTimes(cpu / 1e9, delay / 1e9, slices) for task, (cpu, delay, slices) in counted}


def _schedstats(pid: int | str) -> dict[int, tuple[int, ...]]:
    """Read ns used, ns waited and timeslices of every thread.

    A generator does so every few milliseconds: so without the buffers of `open`.
    """
    found = {}
    with suppress(OSError):  # it has ended, or there is no such folder
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, ValueError):  # it ended meanwhile, or a kernel without CONFIG_SCHED_INFO
                file = os.open(f"/proc/{pid}/task/{task}/schedstat", os.O_RDONLY)
                try:
                    found[int(task)] = tuple(map(int, os.read(file, 128).split()))
                finally:
                    os.close(file)
    return found


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Seconds since the process began."""

    cpu_s: float
    run_delay_s: float | None
    """Ready, and not let run, of all threads. None but on Linux."""
    timeslices: int = 0


def read_usage() -> ProcessUsage:
    """Read the processor time of this process, and what its threads waited for it."""
    threads = _schedstats("self").values()
    if not threads:
        return ProcessUsage(time.process_time(), None)
    _, delays, timeslices = zip(*threads, strict=True)
    return ProcessUsage(time.process_time(), sum(delays) / 1e9, sum(timeslices))


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """What a process used between two times, in seconds a second; what only Linux tells is None elsewhere."""

    cpu_cores: float
    run_delay: float | None = None
    timeslices: float | None = None
    """Times a second that it was let run."""
    waits: tuple[int, ...] = ()
    """Waits of so many ms, one figure for each of WAIT_EDGES_MS, counted from that edge to the next."""


def usage_between(samples: Sequence[tuple[int, ProcessUsage]], begin_ns: int, end_ns: int) -> WindowUsage:
    """Return what was used between two times, in ns.

    `samples` are (time in ns, usage), between which usage is interpolated. What is waited is None where a
    sample has none.
    """
    times = [at for at, _ in samples]
    span = (end_ns - begin_ns) / 1e9

    def used(values: Sequence[float]) -> float:
        return float(np.interp(end_ns, times, values) - np.interp(begin_ns, times, values)) / span

    cores = used([usage.cpu_s for _, usage in samples])
    delays = [usage.run_delay_s for _, usage in samples if usage.run_delay_s is not None]
    if len(delays) < len(samples):
        return WindowUsage(cores)
    inside = [sample for sample in samples if begin_ns <= sample[0] <= end_ns]
    longest = [_longest_wait_ms(*pair) for pair in pairwise(inside)]
    return WindowUsage(cores, used(delays), used([u.timeslices for _, u in samples]), _counted(longest))


def _longest_wait_ms(before: tuple[int, ProcessUsage], after: tuple[int, ProcessUsage]) -> float:
    """Return about how long the longest wait between two samples was, in ms.

    Of waits that scatter as an exponential does, the longest of n lasts 1 + ln n means (harmonic number). And
    where the second sample came late, a wait may have kept it.
    """
    waited_ms = ((after[1].run_delay_s or 0.0) - (before[1].run_delay_s or 0.0)) * 1000
    slices = max(1, after[1].timeslices - before[1].timeslices)
    late_ms = (after[0] - before[0]) / 1e6 - _SAMPLED_WITHIN_MS
    return max(waited_ms * (1 + math.log(slices)) / slices, min(waited_ms, late_ms))


def _counted(waits_ms: Sequence[float]) -> tuple[int, ...]:
    counts = [0] * len(WAIT_EDGES_MS)
    for wait in waits_ms:
        if wait >= WAIT_EDGES_MS[0]:
            counts[bisect_right(WAIT_EDGES_MS, wait) - 1] += 1
    return tuple(counts)


def raise_fd_limit(connections: int) -> None:
    """Raise the limit of open files so that this process may have that many connections.

    Those it could not open would count as failures of the server. Raises BadParameter for more than the
    system allows.
    """
    wanted = connections + _OTHER_FILES
    may = raise_descriptor_limit(wanted)
    if may < wanted:
        raise BadParameter(
            f"{connections} connections cannot be had: a process may open {may} files here (ulimit -Hn); "
            "ask for fewer, or for more processes"
        )
