"""Compare the load generator with others, in one interleaved run against the same server."""

from __future__ import annotations

import csv
import math
import os
import re
import resource
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.goals import GoalFigure, at_least, reference
from benchmarks.nginx import nginx
from lab.arrivals import Closed
from lab.load.run import run
from lab.load.spec import LoadSpec

__all__ = ["generators"]

CONNECTIONS = 32
SECONDS = 4
ROUNDS = 9
BODY = b"x" * 900
CASES = {
    "GET": ("", None),
    "GET, another Server-Timing each time": ("timed", None),
    "POST": ("", BODY),
    "POST, another Server-Timing each time": ("timed", BODY),
}
"""What is asked for, below nginx's URL, and the body."""
WRK_SHARE = 0.8
"""wrk's CPU a request over the lab's, at least."""


@dataclass(frozen=True, slots=True)
class _Run:
    rate: float
    """Requests a second."""
    cpu_us: float
    """CPU time of the generator a request, in microseconds."""


Peer = Callable[[str, bytes | None], _Run]


def generators() -> Iterator[GoalFigure]:
    """Compare CPU a request with wrk's: a closed loop of 32 connections on nginx, in the default mode.

    The variable LOCUST may hold the path of Locust, which then lives in an environment of its own; it is
    compared by its rate, of GET alone.
    """
    wrk, locust = shutil.which("wrk"), os.environ.get("LOCUST") or shutil.which("locust")
    for name, program in (("wrk", wrk), ("locust", locust)):
        if not program:
            yield reference(f"{name} is not installed, so the lab is not compared with it", float("nan"))
    with nginx() as url:
        for case, (path, body) in CASES.items():
            peers: dict[str, Peer] = {"lab": _lab}
            if wrk:
                peers["wrk"] = partial(_wrk, wrk)
            if locust and case == "GET":
                peers["locust"] = partial(_locust, locust)
            yield from _compared(case, _rounds(peers, url + path, body))


def _rounds(peers: Mapping[str, Peer], url: str, body: bytes | None) -> dict[str, list[_Run]]:
    found: dict[str, list[_Run]] = {name: [] for name in peers}
    for turn in range(ROUNDS):
        order = list(peers)[turn % len(peers) :] + list(peers)[: turn % len(peers)]
        for name in order:
            found[name].append(peers[name](url, body))
    return found


def _compared(case: str, found: Mapping[str, list[_Run]]) -> Iterator[GoalFigure]:
    for name, runs in found.items():
        yield reference(f"{case}: {name}", statistics.median(run.rate for run in runs), "req/s")
        yield reference(f"{case}: {name}, CPU", statistics.median(run.cpu_us for run in runs), "µs a request")
    if "wrk" in found:
        ratios = [
            theirs.cpu_us / mine.cpu_us for mine, theirs in zip(found["lab"], found["wrk"], strict=True)
        ]
        what = f"{case}: CPU of wrk / lab, median of {ROUNDS} rounds"
        yield at_least(what, statistics.median(ratios), WRK_SHARE)
    if "locust" in found:
        rates = [mine.rate / theirs.rate for mine, theirs in zip(found["lab"], found["locust"], strict=True)]
        yield at_least(
            f"{case}: rate of lab / locust, median of {ROUNDS} rounds", statistics.median(rates), 1.0
        )


def _lab(url: str, body: bytes | None) -> _Run:
    spec = LoadSpec(
        url=url,
        load=Closed(CONNECTIONS),
        duration_s=float(SECONDS),
        warmup_s=0.5,
        method="GET" if body is None else "POST",
        body=body,
    )
    result = run(spec)
    assert result.failed == 0
    assert len(result.window.response_time) == result.requests  # all of them recorded
    assert bool(result.stages_ms) is url.endswith("timed")
    used_s = sum(each.cpu_cores * result.window_s + each.reading_cpu_s for each in result.generators)
    return _Run(result.throughput_rps, used_s / result.requests * 1e6)


def _wrk(program: str, url: str, body: bytes | None) -> _Run:
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", url]
    with tempfile.TemporaryDirectory() as folder:
        if body is not None:
            script = Path(folder, "post.lua")
            script.write_text(f'wrk.method = "POST"\nwrk.body = "{body.decode()}"\n')
            command[1:1] = ["-s", str(script)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    (rate,), (requests,) = (
        re.findall(r"Requests/sec:\s+([\d.]+)", said),
        re.findall(r"(\d+) requests in", said),
    )
    used_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return _Run(float(rate), used_s / int(requests) * 1e6)


def _locust(program: str, url: str, _: bytes | None) -> _Run:
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "run")
        users = ["--users", str(CONNECTIONS), "--spawn-rate", str(CONNECTIONS), "--run-time", f"{SECONDS}s"]
        script = str(Path(__file__).with_name("locustfile.py"))
        quiet = ["--headless", "--only-summary", "--loglevel", "ERROR", "--csv", str(table)]
        command = [program, "-f", script, "--host", url.rstrip("/"), *users, *quiet]
        subprocess.run(command, capture_output=True, check=True, timeout=120, cwd=folder)
        with Path(f"{table}_stats.csv").open(newline="") as lines:
            (total,) = (row for row in csv.DictReader(lines) if row["Name"] == "Aggregated")
    return _Run(float(total["Requests/s"]), math.nan)
