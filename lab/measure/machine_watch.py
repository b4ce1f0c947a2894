"""Watch over the processor while a load runs: what the trial's own processes use of it, and what others do.

The trial's own are this process, whatever it has started since the watch was made (generators, servers and
balancers in processes), and on a URL of this machine the server that listens there. Only Linux tells.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from lab.load.process_limits import ThreadTimes, read_threads
from lab.load.result import LoadResult, Progress
from lab.measure.disturbance import ProcessorUse

__all__ = ["Contention", "MachineWatch"]

_RESCAN_S = 1.0
"""How often it is looked for processes that were started meanwhile."""
_IDLE = (3, 4)
"""Columns of /proc/stat, from 0, of time in which nothing ran: idle, and idle with a disk at work."""
_GUESTS = 8
"""From which column on time is counted that the columns before have counted too."""


_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_LISTENS = "0A"
_ONLOOKERS = 0
"""Stands for the threads of this process that look on: servers in it have threads of their own."""


@dataclass(frozen=True, slots=True)
class Contention:
    """Who used the processor in a window: programs outside the trial, and each process of its servers."""

    others_cpu_cores: float
    """Cores that programs outside the trial used, and the host where it lends this machine's cores."""
    own_cpu_cores: float
    """Cores that the trial used: generators, servers, balancers, and this process."""
    servers: tuple[ProcessorUse, ...] = ()
    """The processes that requests pass, generators aside."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    busy_s: float
    """CPU time of the whole machine since it came up."""
    threads: Mapping[tuple[int, int], ThreadTimes]
    """By process and thread."""


class MachineWatch:
    """Sampler of the machine, to be called with each progress of a load, as its `on_progress`.

    Make it before the servers start: what this process had started earlier is no part of the trial.
    `then` is called with each progress too. The server that listens at `url` on this machine already, and
    what it has started, is of the trial too.
    """

    def __init__(self, then: Callable[[Progress], None] | None = None, url: str = "") -> None:
        self._then = then
        listening = set(_listening_at(url))
        self._servers = listening - {os.getpid()}
        self._onlookers = {os.getpid()} if os.getpid() in listening else set(read_threads())
        self._own = {os.getpid(), *self._servers}
        self._earlier = set(_descendants(os.getpid()))
        self._samples: list[_Sample] = []
        self._scanned_s = -_RESCAN_S

    def __call__(self, progress: Progress) -> None:
        """Take a sample at `progress.elapsed_s`."""
        self._sample(progress.elapsed_s)
        if self._then:
            self._then(progress)

    def contention(self, load: LoadResult) -> Contention | None:
        """Return who used the processor in the window of that load; None where the system does not tell."""
        if len(self._samples) < 2:
            return None
        begin, end = load.warmup_s, load.warmup_s + load.window_s
        no_servers = {_ONLOOKERS, *(generator.pid for generator in load.generators)}
        uses = dict(self._uses(begin, end))
        own = sum(use.cpu_cores for use in uses.values())
        busy = _slope([(each.at_s, each.busy_s) for each in self._samples], begin, end)
        servers = tuple(use for of, use in uses.items() if of not in no_servers)
        return Contention(max(0.0, busy - own), own, servers)

    def _sample(self, at_s: float) -> None:
        now = time.monotonic()
        if now - self._scanned_s >= _RESCAN_S:
            self._scanned_s = now
            self._own.update(set(_descendants(os.getpid())) - self._earlier)
            self._own.update(child for pid in self._servers for child in _descendants(pid))
        busy_s = _busy_s()
        if busy_s is not None:
            threads = {(p, t): times for p in self._own for t, times in read_threads(p).items()}
            self._samples.append(_Sample(at_s, busy_s, threads))

    def _uses(self, begin: float, end: float) -> Iterator[tuple[int, ProcessorUse]]:
        """Yield what each process used between two times, and threads of this one that serve nobody apart."""
        parts: dict[int, list[tuple[float, float, float]]] = {}
        for thread in sorted({thread for sample in self._samples for thread in sample.threads}):
            of = _ONLOOKERS if thread[0] == os.getpid() and thread[1] in self._onlookers else thread[0]
            parts.setdefault(of, []).append(self._used(thread, begin, end))
        for of, each in parts.items():
            cpu, delay, slices = (sum(column) for column in zip(*each, strict=True))
            busiest = min(1.0, max(used[0] + used[1] for used in each))
            yield of, ProcessorUse(cpu, delay, slices, busiest)

    def _used(self, thread: tuple[int, int], begin: float, end: float) -> tuple[float, float, float]:
        """Return CPU time, wait and slices of one thread, each a second.

        One that is not there yet has used nothing, and one that has ended uses nothing more.
        """
        times, last = [], ThreadTimes(0.0, 0.0, 0)
        for sample in self._samples:
            last = sample.threads.get(thread, last)
            times.append((sample.at_s, last))
        return (
            _slope([(at, each.cpu_s) for at, each in times], begin, end),
            _slope([(at, each.run_delay_s) for at, each in times], begin, end),
            _slope([(at, each.timeslices) for at, each in times], begin, end),
        )


def _slope(points: list[tuple[float, float]], begin: float, end: float) -> float:
    """Return by how much a counter grew between two times, a second. Between points it grows evenly."""
    at, value = zip(*points, strict=True)
    begin, end = max(begin, at[0]), min(end, at[-1])
    if end <= begin:
        return 0.0
    return float(np.interp(end, at, value) - np.interp(begin, at, value)) / (end - begin)


def _busy_s() -> float | None:
    """Return the CPU seconds that all cores have spent on anything; None but on Linux."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return None
    ticks = [int(field) for field in line.split()[1:]][:_GUESTS]
    return sum(t for place, t in enumerate(ticks) if place not in _IDLE) / os.sysconf("SC_CLK_TCK")


def _listening_at(url: str) -> Iterator[int]:
    """Yield the processes that listen at a URL of this machine, as far as this user may know."""
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK or parts.port is None:
        return
    wanted = {f"socket:[{inode}]" for inode in _sockets_at(parts.port)}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or it ended meanwhile
            if any(os.readlink(file) in wanted for file in (process / "fd").iterdir()):
                yield int(process.name)


def _sockets_at(port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on a port, of either family (proc(5), /proc/net/tcp).

    Each table is read twice: a line may be missed while others come and go.
    """
    for table in ("tcp", "tcp6") * 2:
        with suppress(OSError):
            for line in Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
                (
                    _,
                    local,
                    _,
                    state,
                    *_,
                ) = fields = line.split()
                if state == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                    yield fields[9]


def _descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process has started, and those that they have, as far as told."""
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):  # it ended meanwhile
                children = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
                for child in map(int, children.split()):
                    yield child
                    yield from _descendants(child)
