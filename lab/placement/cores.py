"""Keep servers on some cores and load generators on others, where the system can do that (Linux)."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil

from lab.errors import BadParameter

__all__ = ["cores_beside", "kept_on", "moved_to"]


def cores_beside(taken: Collection[int]) -> frozenset[int]:
    """Return the cores left to servers where load generators have `taken` to themselves.

    Raises BadParameter for a core that does not exist, where none is left, and where the system cannot keep
    anything on a core.
    """
    named = ", ".join(map(str, taken))
    if not hasattr(os, "sched_setaffinity"):
        raise BadParameter(f"cpu {named} cannot be had: this system keeps nothing on a core; leave cpu out")
    there = os.sched_getaffinity(0)
    for core in taken:
        if core not in there:
            raise BadParameter(f"cpu {core} cannot be had: there are {sorted(there)}")
    left = frozenset(there) - frozenset(taken)
    if not left:
        raise BadParameter(
            f"cpu {named} leaves no core to the servers, of {sorted(there)}: name fewer, or leave cpu out"
        )
    return left


@contextmanager
def kept_on(cores: Collection[int]) -> Iterator[None]:
    """Keep the threads and processes that this thread starts in the block on `cores`; if empty, on any.

    They inherit the affinity from this thread, so that they never run elsewhere.
    """
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def moved_to(cores: Collection[int], pid: int) -> Iterator[None]:
    """Keep a running process, and all that it has started, on `cores` during the block; if empty, on any."""
    if not cores:
        yield
        return
    before = _affinities(pid)
    try:
        _set(dict.fromkeys(before, cores))
        yield
    finally:
        # What has been started since gets the cores of the process itself.
        _set({task: before.get(task, before[pid]) for task in _affinities(pid) if pid in before})


def _affinities(pid: int) -> dict[int, set[int]]:
    """Return the cores of every thread of the process and of its descendants, by the thread's number."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                for thread in each.threads():
                    found[thread.id] = os.sched_getaffinity(thread.id)
    return found


def _set(affinities: Mapping[int, Collection[int]]) -> None:
    for task, cores in affinities.items():
        with suppress(ProcessLookupError):  # the thread has ended
            os.sched_setaffinity(task, cores)
