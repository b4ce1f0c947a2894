"""Topologies that come and go leave nothing behind, however often."""

from __future__ import annotations

import gc
import http.client
import json
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

import lab
from lab.errors import ProgramMissing
from lab.placement.ports import reserved_offset
from lab.placement.proxies import PROXIES
from lab.placement.proxies.proxy import find

CYCLES = 2
EXAMPLE = json.dumps({"text": "The cat, the CAT", "request_id": "r1"}).encode()


def left_behind() -> dict[str, object]:
    """What a leak would add to."""
    gc.collect()
    process = psutil.Process()
    return {
        "processes": sorted(child.pid for child in process.children(recursive=True)),
        "threads": threading.active_count(),
        "descriptors": process.num_fds(),
        "temporary files": sorted(path.name for path in Path(tempfile.gettempdir()).glob("lab-*")),
    }


def cycle(topology: lab.Topology, placement: lab.PlacementName, balancer: lab.BalancerName) -> None:
    with lab.start(topology, placement=placement, balancer=balancer) as running:
        connection = http.client.HTTPConnection("127.0.0.1", topology.services[0].balancer.port)  # type: ignore[union-attr]
        connection.request("POST", "/process", EXAMPLE, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        running.stats()
        running.kill("service2a")


@pytest.mark.parametrize(
    ("placement", "balancer"),
    [
        (lab.PlacementName.IN_PROCESS, lab.BalancerName.BUILTIN),
        (lab.PlacementName.PROCESSES, lab.BalancerName.BUILTIN),
        (lab.PlacementName.IN_PROCESS, lab.BalancerName.NGINX),
    ],
)
def test_starting_and_stopping_again_and_again_leaks_nothing(
    placement: lab.PlacementName, balancer: lab.BalancerName, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if balancer is not lab.BalancerName.BUILTIN:
        try:
            find(PROXIES[balancer].program)
        except ProgramMissing as missing:
            pytest.skip(str(missing))
    topology = lab.Topology.parallel(2).with_work(lab.Work(mean_ms=1))
    with reserved_offset(topology) as offset:
        topology = topology.shifted(offset)
        cycle(topology, placement, balancer)  # what is made once and kept is no leak
        before = left_behind()
        for _ in range(CYCLES):
            cycle(topology, placement, balancer)
        assert left_behind() == before
