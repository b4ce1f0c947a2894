"""What goes wrong with a fault is told, and leaves nothing running."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

import lab
from lab.errors import PlacementError
from lab.faults import Fault, run_faults
from lab.faults.injector import FaultInjector
from lab.load.result import Progress
from lab.placement.ports import reserved_offset
from lab.placement.running import Running
from lab.topology import Topology

KILL, FREEZE = Fault.parse("at 1 kill service1b for 0.5"), Fault.parse("at 1 freeze service2a for 0.5")


class Stuck:
    """Of a running topology what faults act on: killing never comes to an end, freezing does at once."""

    def __init__(self) -> None:
        self.killing, self.released = threading.Event(), threading.Event()

    def kill(self, name: str) -> None:  # noqa: ARG002
        self.killing.set()
        self.released.wait()

    def freeze(self, name: str) -> None:
        pass

    restart = thaw = freeze


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    made = Stuck()
    yield made
    made.released.set()


def test_a_fault_that_hangs_is_told_and_not_left_out(stuck: Stuck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.faults.injector.PATIENCE_S", 0.1)
    injector = FaultInjector(cast("Running", stuck), (KILL, FREEZE))
    injector.on_progress(Progress(elapsed_s=1, total_s=2, succeeded=0, failed=0, in_flight=0))
    stuck.killing.wait()
    with pytest.raises(PlacementError, match="at 1 kill service1b"):
        injector.close()


def test_the_balancers_are_watched_no_longer_when_a_fault_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise PlacementError("it would not")

    monkeypatch.setattr("lab.faults.injector.begin", fail)
    monkeypatch.setattr("lab.faults.experiment.SETTLE_S", 0.2)
    plain = Topology.parallel(2).with_work(lab.Work(mean_ms=1, slots=8))
    with reserved_offset(plain) as offset, pytest.raises(PlacementError, match="it would not"):
        run_faults([KILL], rate=20, topology=plain.shifted(offset))
    assert "fault watch" not in {thread.name for thread in threading.enumerate()}
