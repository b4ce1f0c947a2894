"""Watch over the processor while a load runs: what the trial's own processes use of it, and what others do.

Which processes are the trial's is told by `trial_processes`. Only Linux tells what a thread waited.
"""

from __future__ import annotations

import gzip
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lab.load.process_limits import ThreadTimes, read_threads
from lab.load.result import LoadResult, Progress
from lab.machine import tells_waits
from lab.measure.disturbance import ProcessorUse
from lab.measure.trial_processes import back_ends, family, hides, listeners, started_by

__all__ = ["Contention", "MachineWatch"]

_RESCAN_S = 1.0
"""How often it is looked for processes that were started meanwhile."""
_WORKING = (0, 1, 2)
"""Columns of /proc/stat, from 0, of time in which programs ran: user, nice and system."""
_INTERRUPTED = (5, 6)
"""Columns of time in which interrupts did."""
_STOLEN = 7
"""Column of the time in which the host had the cores."""
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
    stolen_share: float = 0.0
    """Seconds that the host took for each second that programs ran."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    busy_s: float
    """CPU time of all programs of the machine since it came up."""
    stolen_s: float
    """What the host took meanwhile."""
    threads: Mapping[tuple[int, int], ThreadTimes]
    """By process and thread."""


class MachineWatch:
    """Sampler of the machine, to be called with each progress of a load, as its `on_progress`.

    Make it before the servers start: what this process had started earlier is no part of the trial.
    `then` is called with each progress too. Whoever listens already at one of the `urls`, where it is of this
    machine, is of the trial too, and so are the processes `servers`, with what both have started and the
    back ends that they are connected to.
    """

    def __init__(
        self,
        then: Callable[[Progress], None] | None = None,
        *urls: str,
        servers: Iterable[int] = (),
    ) -> None:
        self._then = then
        self._blind = not tells_waits() or any(map(hides, urls))
        listening = frozenset(servers) if self._blind else frozenset(servers).union(*map(listeners, urls))
        self._servers = set(listening - {os.getpid()})
        self._servers |= back_ends(self._servers)
        self._onlookers = {os.getpid()} if os.getpid() in listening else set(read_threads())
        self._own = {os.getpid(), *family(self._servers)}
        self._earlier = started_by(os.getpid())
        self._samples: list[_Sample] = []
        self._scanned_s = -_RESCAN_S

    def __call__(self, progress: Progress) -> None:
        """Take a sample at `progress.elapsed_s`."""
        self._sample(progress.elapsed_s)
        if self._then:
            self._then(progress)

    def contention(self, load: LoadResult) -> Contention | None:
        """Return who used the processor in the window of that load.

        None where the system does not tell, or hides who serves a URL of this machine: whoever it is would
        be taken for others.
        """
        if len(self._samples) < 2:
            return None
        begin, end = load.warmup_s, load.warmup_s + load.window_s
        no_servers = {_ONLOOKERS, *(generator.pid for generator in load.generators)}
        stolen = _slope([(each.at_s, each.stolen_s) for each in self._samples], begin, end)
        busy = _slope([(each.at_s, each.busy_s) for each in self._samples], begin, end)
        share = stolen / busy if busy > 0 else 0.0
        uses = dict(self._uses(begin, end, share))
        own = sum(use.cpu_cores for use in uses.values())
        servers = tuple(use for of, use in uses.items() if of not in no_servers)
        return Contention(max(0.0, busy - own) + stolen, own, servers, share)

    def _sample(self, at_s: float) -> None:
        if self._blind:
            return
        now = time.monotonic()
        if now - self._scanned_s >= _RESCAN_S:
            self._scanned_s = now
            self._scan()
        machine = _machine_s()
        threads = {(p, t): times for p in self._own for t, times in read_threads(p).items()}
        if machine and threads:
            self._samples.append(_Sample(at_s, *machine, threads))

    def _scan(self) -> None:
        self._own |= started_by(os.getpid()) - self._earlier
        if not self._samples:  # once there is load, and not in the middle of it, as it takes some ms
            self._servers |= back_ends(self._servers)
        self._own |= family(self._servers)

    def _uses(self, begin: float, end: float, stolen: float) -> Iterator[tuple[int, ProcessorUse]]:
        """Yield what each process used between two times, and threads of this one that serve nobody apart."""
        parts: dict[int, list[tuple[float, float, float]]] = {}
        for thread in sorted({thread for sample in self._samples for thread in sample.threads}):
            of = _ONLOOKERS if thread[0] == os.getpid() and thread[1] in self._onlookers else thread[0]
            parts.setdefault(of, []).append(self._used(thread, begin, end))
        for of, each in parts.items():
            cpu, delay, slices = (sum(column) for column in zip(*each, strict=True))
            busiest = min(1.0, max(used[0] + used[1] for used in each))
            yield of, ProcessorUse(cpu, delay, slices, busiest, cpu * stolen)

    def _used(self, thread: tuple[int, int], begin: float, end: float) -> tuple[float, float, float]:
        """Return CPU time, wait and slices of one thread, each a second.

        One that is not there yet has used nothing, and one that has ended uses nothing more.
        """
        times: list[tuple[float, ThreadTimes]] = []
        last = ThreadTimes(0.0, 0.0, 0)
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


def _machine_s() -> tuple[float, float] | None:
    """Return the CPU seconds that all programs ran, and those that the host took; None but on Linux.

    Where the kernel counts interrupts apart from the programs that they hit, they are nobody's.
    """
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    except OSError:
        return None
    ticks, second = [int(field) for field in line.split()[1:]], os.sysconf("SC_CLK_TCK")
    columns = _WORKING if _interrupts_apart() else _WORKING + _INTERRUPTED
    return sum(ticks[column] for column in columns) / second, sum(ticks[_STOLEN : _STOLEN + 1]) / second


@cache
def _interrupts_apart() -> bool:
    """Tell whether a thread's CPU time leaves out the interrupts that came meanwhile, as far as told."""
    for path, opened in (("/proc/config.gz", gzip.open), (f"/boot/config-{platform.release()}", open)):
        with suppress(OSError), opened(path, "rt", encoding="utf-8") as lines:
            return "CONFIG_IRQ_TIME_ACCOUNTING=y\n" in lines
    return False
