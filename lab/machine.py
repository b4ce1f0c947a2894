"""What about this machine distorts measurements, and what to do about it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import psutil

from services.loops import loop_name

__all__ = [
    "Fact",
    "ProgramTimes",
    "busy_programs",
    "facts",
    "program_times",
    "tells_waits",
    "usable_cores",
]

FILES_WANTED = 4096
"""How many descriptors a run at high concurrency may need: each request in flight holds up to two a hop."""
MEMORY_WANTED_MB = 500
LEAST_CORES = 0.05
"""A program that uses less is in nobody's way."""
MOST_NAMED = 3
STEAL_INTERVAL_S = 0.2
PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "httpx", "aiohttp", "httpx-aiohttp")


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about this machine. `remedy` is None where nothing need be done."""

    name: str
    value: str
    remedy: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the machine is as it should be in this."""
        return self.remedy is None


def facts() -> list[Fact]:
    """Collect all facts, in the order to read them. Takes 0.2 s, to see what other programs use."""
    return [fact for probe in _PROBES for fact in probe()]


def usable_cores() -> float:
    """Count the cores that this process may use: those it is bound to, at most its quota of CPU time."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return bound if quota is None else min(float(bound), quota)


def tells_waits() -> bool:
    """Tell whether the system counts what a thread waits for a processor, as only Linux does."""
    return bool(_read("/proc/self/schedstat") or _read("/proc/thread-self/schedstat"))


ProgramTimes = Mapping[tuple[int, float], tuple[str, float]]
"""By process (its id, and when it began): the name of its program, and the seconds of CPU it has used."""


def program_times() -> ProgramTimes:
    """Read what every process that may be looked at has used of the processor."""
    found = {}
    for process in psutil.process_iter(["create_time", "name", "cpu_times"]):
        told = process.info
        if told["cpu_times"]:
            seconds = told["cpu_times"].user + told["cpu_times"].system
            found[process.pid, told["create_time"]] = (str(told["name"]), float(seconds))
    return found


def busy_programs(
    before: ProgramTimes, after: ProgramTimes, seconds: float, own: Set[int] = frozenset()
) -> list[str]:
    """Name up to three programs that used most of the processor between two times, and how many cores.

    `seconds` lie between the times; processes whose ids are in `own` do not count, nor does less than a
    twentieth of a core. A process that ended meanwhile is not seen.
    """
    cores: dict[str, float] = {}
    for process, (name, used) in after.items():
        if process[0] not in own:
            begun = before.get(process, (name, 0.0))[1]
            cores[name] = cores.get(name, 0.0) + (used - begun) / seconds
    busiest = sorted(cores.items(), key=lambda each: -each[1])[:MOST_NAMED]
    return [f"{name} ({used:.2g} cores)" for name, used in busiest if used >= LEAST_CORES]


def _python() -> Iterator[Fact]:
    value = f"{platform.python_implementation()} {platform.python_version()}"
    slow = sys.flags.dev_mode or sys.gettrace() is not None
    yield Fact("python", value, "runs traced or in development mode: start Python without" if slow else None)


def _cores() -> Iterator[Fact]:
    usable, present = usable_cores(), os.cpu_count() or 1
    value = f"{usable:g} of {present}" if usable < present else f"{usable:g}"
    few = "generator and servers share one core: expect generator_bound, or use two" if usable < 2 else None
    yield Fact("cores", value, few)


def _load() -> Iterator[Fact]:
    load, cores = os.getloadavg()[0], usable_cores()
    busy = "other programs compute here: wait until they are done" if load > 0.5 * cores else None
    yield Fact("load average", f"{load:.2f} over the last minute, {cores:g} cores", busy)


def _steal() -> Iterator[Fact]:
    stolen = getattr(psutil.cpu_times_percent(STEAL_INTERVAL_S), "steal", None)
    if stolen is not None:
        lost = (
            "the host gives this machine's cores to others: measure where it does not" if stolen > 1 else None
        )
        yield Fact("stolen CPU", f"{stolen:.1f} %", lost)


def _governor() -> Iterator[Fact]:
    governor = _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor:
        slow = "clock speed follows load: choose `performance`" if governor != "performance" else None
        yield Fact("clock governor", governor, slow)


def _memory() -> Iterator[Fact]:
    free_mb = psutil.virtual_memory().available / 1e6
    low = "little is left: end other programs" if free_mb < MEMORY_WANTED_MB else None
    yield Fact("memory available", f"{free_mb:,.0f} MB", low)


def _loop() -> Iterator[Fact]:
    slow = "uvloop is not installed: requests cost about twice the CPU" if loop_name() != "uvloop" else None
    yield Fact("event loop", loop_name(), slow)
    parser = "httptools" if find_spec("httptools") else "h11"
    yield Fact("HTTP parser", parser, None if parser == "httptools" else "install httptools: h11 is slower")


def _timer() -> Iterator[Fact]:
    if sys.platform == "linux":
        yield Fact("timer", "timerfd")
    else:
        yield Fact("timer", "loop timers and a short spin", "only Linux has timerfd: expect later sends")


def _waits() -> Iterator[Fact]:
    none = "what other programs do to a measurement cannot be told: measure where nobody else computes"
    yield Fact("waits for a processor", *(("counted",) if tells_waits() else ("not counted", none)))


def _descriptors() -> Iterator[Fact]:
    import resource  # not on every platform, and only asked for here

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = soft == resource.RLIM_INFINITY
    few = (
        f"too few for a wide run: ulimit -n {FILES_WANTED}" if soft < FILES_WANTED and not unlimited else None
    )
    yield Fact("open files", "unlimited" if unlimited else f"{soft:,}", few)


def _versions() -> Iterator[Fact]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    yield Fact("packages", ", ".join(found))


def _quota() -> float | None:
    """Read the quota of CPU time that a control group grants, in cores; None where there is no quota.

    Of a container's own group, as it sees it: in cgroup version 2, and in version 1.
    """
    limit, _, period = (_read("/sys/fs/cgroup/cpu.max") or "").partition(" ")
    if not limit:
        limit = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") or "max"
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or "100000"
    return None if limit in ("max", "-1") else int(limit) / int(period)


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


_PROBES: tuple[Callable[[], Iterator[Fact]], ...] = (
    _python,
    _cores,
    _load,
    _steal,
    _governor,
    _memory,
    _loop,
    _timer,
    _waits,
    _descriptors,
    _versions,
)
