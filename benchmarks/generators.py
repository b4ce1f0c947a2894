"""Compare the load generator with others, in one interleaved run against the same server."""

from __future__ import annotations

import csv
import os
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.goals import GoalFigure, at_least, reference
from benchmarks.nginx import nginx
from lab.arrivals import Closed
from lab.load.run import run
from lab.load.spec import LoadSpec

__all__ = ["generators"]

CONNECTIONS = 32
SECONDS = 4
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class _Run:
    rate: float
    """Requests a second."""
    cpu_us: float
    """CPU time of the generator a request, its start-up included, in microseconds."""


def generators() -> Iterator[GoalFigure]:
    """Run a closed loop of 32 connections on nginx with a static answer: requests a second of one process.

    The variable LOCUST may hold the path of Locust, which then lives in an environment of its own.
    """
    peers: dict[str, Callable[[str], float]] = {"lab": _lab}
    wrk, locust = shutil.which("wrk"), os.environ.get("LOCUST") or shutil.which("locust")
    if wrk:
        peers["wrk"] = lambda url: _wrk(wrk, url)
    if locust:
        peers["locust"] = lambda url: _locust(locust, url)
    found: dict[str, list[_Run]] = {name: [] for name in peers}
    with nginx() as url:
        for turn in range(ROUNDS):
            order = list(peers)[turn % len(peers) :] + list(peers)[: turn % len(peers)]
            for name in order:
                found[name].append(_timed(peers[name], url))
    for name, runs in found.items():
        yield reference(f"{name}, median of {ROUNDS}", statistics.median(run.rate for run in runs), "req/s")
        yield reference(f"{name}, CPU a request", statistics.median(run.cpu_us for run in runs), "µs")
    for name in ("wrk", "locust"):
        if name not in found:
            yield reference(f"{name} is not installed, so the lab is not compared with it", float("nan"))
    for name, bound in (("wrk", 0.6), ("locust", 1.0)):
        if name in found:
            ratios = [mine.rate / theirs.rate for mine, theirs in zip(found["lab"], found[name], strict=True)]
            yield at_least(f"lab / {name}, median of {ROUNDS} rounds", statistics.median(ratios), bound)


def _timed(peer: Callable[[str], float], url: str) -> _Run:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = peer(url)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return _Run(rate, used_s / (rate * SECONDS) * 1e6)


def _lab(url: str) -> float:
    load = Closed(CONNECTIONS)
    result = run(LoadSpec(url=url, load=load, duration_s=float(SECONDS), warmup_s=0.5, stages=False))
    assert result.failed == 0
    assert len(result.window.response_time) == result.requests  # all of them recorded
    return result.throughput_rps


def _wrk(program: str, url: str) -> float:
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    (rate,) = re.findall(r"Requests/sec:\s+([\d.]+)", said)
    return float(rate)


def _locust(program: str, url: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "run")
        users = ["--users", str(CONNECTIONS), "--spawn-rate", str(CONNECTIONS), "--run-time", f"{SECONDS}s"]
        script = str(Path(__file__).with_name("locustfile.py"))
        quiet = ["--headless", "--only-summary", "--loglevel", "ERROR", "--csv", str(table)]
        command = [program, "-f", script, "--host", url.rstrip("/"), *users, *quiet]
        subprocess.run(command, capture_output=True, check=True, timeout=120, cwd=folder)
        with Path(f"{table}_stats.csv").open(newline="") as lines:
            (total,) = (row for row in csv.DictReader(lines) if row["Name"] == "Aggregated")
    return float(total["Requests/s"])
