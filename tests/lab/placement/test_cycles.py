"""Topologies that come and go leave nothing behind, however often."""

from __future__ import annotations

import gc
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

import lab
from tests.support.placing import claimed, descendants, pairs, post, require
from tests.support.waiting import wait_until

CYCLES = 2


def left_behind() -> dict[str, object]:
    """What a leak would add to."""
    gc.collect()
    process = psutil.Process()
    return {
        "processes": descendants(),
        "threads": threading.active_count(),
        "descriptors": process.num_fds(),
        "temporary files": sorted(path.name for path in Path(tempfile.gettempdir()).glob("lab-*")),
    }


def cycle(topology: lab.Topology, placement: lab.PlacementName, balancer: lab.BalancerName) -> None:
    with lab.start(topology, placement=placement, balancer=balancer) as running:
        assert post(running.entry_url) == 200
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
    require(balancer)
    with claimed(pairs()) as topology:
        cycle(topology, placement, balancer)  # what is made once and kept is no leak
        before = left_behind()
        for _ in range(CYCLES):
            cycle(topology, placement, balancer)
        wait_until(lambda: left_behind() == before)
