"""A timeline of faults is played on a real topology under real load, and every request is accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import lab
from lab.errors import PlacementError
from lab.faults import Fault, FaultRun, run_faults
from lab.faults.injector import begin
from lab.faults.report import executions
from lab.placement.ports import reserved_offset
from lab.topology import Topology
from services.balancer.events import EventKind


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    # The timeout is far beyond what a busy machine may take: no request fails but by a fault.
    made = Topology.parallel(2).with_work(lab.Work(mean_ms=1, slots=8)).with_timeout(10)
    with reserved_offset(made) as offset:
        yield made.shifted(offset)


@pytest.fixture(scope="module")
def played(topology: Topology) -> FaultRun:
    faults = ["at 1 kill service1b for 0.5", "at 1 errors service2a for 0.5", "at 1.8 drop service4a for 0.4"]
    return run_faults(faults, rate=40, topology=topology)


def test_every_request_has_an_outcome(played: FaultRun) -> None:
    assert (played.lost, played.dropped) == (0, 0)
    assert played.due == len(played.requests) == played.succeeded + played.failed == 40 * 6.2
    assert sum(played.outcomes.values()) == played.due


def test_a_kill_is_noticed_and_costs_no_request_and_errors_pass_through(played: FaultRun) -> None:
    kill = next(i for i in played.incidents if i.fault.target == "service1b")
    assert kill.time_to_detect_s is not None
    assert kill.time_to_recover_s is not None
    assert 0 < played.outcomes["http_502"] < played.due
    assert set(played.outcomes) == {"http_200", "http_502"}


def test_an_answer_that_was_lost_is_asked_for_again_and_the_ledger_knows(played: FaultRun) -> None:
    assert played.executed_twice["service4"] > 0
    assert played.retried >= played.executed_twice["service4"]
    assert any(e.kind is EventKind.RETRIED and e.instance == "service4a" for e in played.events)


def test_what_faults_mean_to_do_is_no_reason_against_the_run(played: FaultRun) -> None:
    assert "servers_changed" not in (played.measurement.health.invalid_reason or "")
    assert played.measurement.outcome.requests == played.due


def test_the_same_faults_befall_a_topology_that_speaks_grpc(topology: Topology) -> None:
    faults = ["at 1 kill service1b for 0.5", "at 1 errors service2a for 0.5", "at 1.8 drop service4a for 0.4"]
    played = run_faults(faults, rate=40, topology=topology.with_protocol(lab.ProtocolName.GRPC))
    assert (played.lost, played.dropped) == (0, 0)
    kill = next(i for i in played.incidents if i.fault.target == "service1b")
    assert kill.time_to_detect_s is not None
    assert 0 < played.outcomes["grpc_unavailable"] < played.due
    assert played.succeeded + played.outcomes["grpc_unavailable"] == played.due
    assert played.executed_twice["service4"] > 0
    assert (played.measurement.factors.protocol, played.measurement.factors.client) == ("grpc", None)


def test_without_faults_nothing_is_executed_twice_and_nothing_fails(topology: Topology) -> None:
    quiet = run_faults([], rate=20, topology=topology)
    assert quiet.outcomes == {"http_200": 80}
    assert set(quiet.executed_twice.values()) == {0}
    assert quiet.incidents == ()


def test_a_service_that_was_not_started_for_it_cannot_be_told_to_fail(topology: Topology) -> None:
    with lab.start(topology) as running, pytest.raises(PlacementError, match="with_faults"):
        begin(running, Fault.parse("at 1 slow service1a for 1"))


def test_ledgers_count_executions_over_all_instances_of_a_service(tmp_path: Path) -> None:
    (tmp_path / "service1a").write_text("r1\nr2\n")
    (tmp_path / "service1b").write_text("r2\n")
    (tmp_path / "service2a").write_text("r1\n")
    assert executions(tmp_path, Topology.parallel(2).services[0]) == {"r1": 1, "r2": 2}
