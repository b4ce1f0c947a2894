"""Count what topologies leave behind that come and go, in every placement and behind every balancer."""

from __future__ import annotations

import gc
import http.client
import json
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks.goals import GoalFigure, at_most, reference
from lab.errors import ProgramMissing
from lab.placement import BalancerName, PlacementName, start
from lab.placement.ports import free_offset, listen_all
from lab.topology import Topology

__all__ = ["cycles"]

CYCLES = 50
MARK = "PIPELINE_LAB_BENCHMARK"
BODY = json.dumps({"text": "The cat, the CAT", "request_id": "r1"}).encode()
Counts = dict[str, float]


def cycles() -> Iterator[GoalFigure]:
    """Start and stop every placement 50 times: processes, threads, descriptors, files and ports left."""
    topology = Topology.parallel()
    topology = topology.shifted(free_offset(topology))
    with _marked() as folder:
        for placement in (PlacementName.IN_PROCESS, PlacementName.PROCESSES):
            for balancer in BalancerName:
                if placement is PlacementName.PROCESSES and balancer not in (
                    BalancerName.BUILTIN,
                    BalancerName.NGINX,
                ):
                    continue  # these balancers are processes in either placement
                try:
                    yield from _repeated(f"{placement}, {balancer}", topology, placement, balancer, folder)
                except ProgramMissing as error:
                    yield reference(f"{placement}, {balancer} is left out: {error}", float("nan"))
        # The servers that the remote placement uses run already: they count as no part of it.
        with start(topology, placement=PlacementName.PROCESSES):
            yield from _repeated("remote", topology, PlacementName.REMOTE, BalancerName.BUILTIN, folder)
    for sock in listen_all(topology.addresses()).values():
        sock.close()


def _repeated(
    what: str, topology: Topology, placement: PlacementName, balancer: BalancerName, folder: Path
) -> Iterator[GoalFigure]:
    def once() -> None:
        with start(topology, placement=placement, balancer=balancer) as running:
            _ask(running.topology.services[0].balancer.port)

    once()  # what is made once and kept is no leak
    before, begun = _left(folder), time.monotonic()
    for _ in range(CYCLES):
        once()
    each_s = (time.monotonic() - begun) / CYCLES
    after = _settled(lambda: _left(folder), before)
    yield reference(f"{what}, one start, request and stop", each_s, "s")
    for name, count in after.items():
        yield at_most(f"{what}, {name} more after {CYCLES} cycles", count - before[name], 0)


def _left(folder: Path) -> Counts:
    """Count what a leak would add to. A mark in their environment tells the processes started here."""
    gc.collect()
    own = psutil.Process()
    return {
        "processes": sum(map(_is_marked, psutil.process_iter())),
        "threads": own.num_threads(),
        "Python threads": threading.active_count(),
        "descriptors": own.num_fds(),
        "temporary files": sum(1 for _ in folder.rglob("*")),
    }


def _settled(count: Callable[[], Counts], wanted: Counts) -> Counts:
    """Return the counts once they are as wanted, or after two seconds: what was killed takes a moment."""
    end = time.monotonic() + 2
    while (found := count()) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return found


def _is_marked(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.pid != os.getpid() and process.environ().get(MARK) == os.environ[MARK]
    return False


def _ask(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", "/process", BODY, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"a topology that had started answered {answer.status}")


@contextmanager
def _marked() -> Iterator[Path]:
    """Mark everything started inside the block, and keep its temporary files in one folder."""
    kept = tempfile.tempdir, os.environ.get("TMPDIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[MARK] = uuid.uuid4().hex
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = kept[0]
            del os.environ[MARK], os.environ["TMPDIR"]
            if kept[1] is not None:
                os.environ["TMPDIR"] = kept[1]
