"""What is told of a fault follows from requests and events alone."""

from __future__ import annotations

from lab.faults.fault import Fault
from lab.faults.injector import FaultRecord
from lab.faults.report import Incident, Request, incidents_of
from lab.faults.watch import BalancerEvent
from services.balancer.events import EventKind

KILL = Fault.parse("at 2 kill a for 3")
FREEZE = Fault.parse("at 7 freeze b for 1")


def seen(at_s: float, kind: EventKind, instance: str) -> BalancerEvent:
    return BalancerEvent(at_s, "balancer", kind, instance, "reason")


def incidents(*events: BalancerEvent) -> tuple[Incident, ...]:
    requests = [Request(t, 0.1 * t, "http_200" if t != 3 else "reset", t != 3) for t in range(10)]
    records = [FaultRecord(FREEZE, 107, 108, 108), FaultRecord(KILL, 102, 105, 105.5)]
    return incidents_of(records, requests, events, origin_s=100)


def test_requests_belong_to_the_latest_fault_before_them() -> None:
    kill, freeze = incidents()
    assert (kill.fault, kill.requests, kill.failed, kill.slowest_s) == (KILL, 5, 1, 0.6000000000000001)
    assert (freeze.fault, freeze.requests, freeze.failed) == (FREEZE, 3, 0)


def test_a_request_fails_of_the_fault_during_which_it_fails() -> None:
    requests = [Request(1.9, 0.2, "reset", succeeded=False), Request(6.95, 0.1, "reset", succeeded=False)]
    records = [FaultRecord(KILL, 102, 105, 105.5), FaultRecord(FREEZE, 107, 108, 108)]
    assert [i.failed for i in incidents_of(records, requests, [], origin_s=100)] == [1, 1]
    assert [i.requests for i in incidents_of(records, requests, [], origin_s=100)] == [1, 0]


def test_detection_runs_from_the_beginning_and_recovery_from_the_end() -> None:
    kill, freeze = incidents(
        seen(2.25, EventKind.EJECTED, "a"),
        seen(3, EventKind.EJECTED, "a"),
        seen(5.75, EventKind.RESTORED, "a"),
    )
    assert (kill.time_to_detect_s, kill.time_to_recover_s) == (0.25, 0.25)
    assert (freeze.time_to_detect_s, freeze.time_to_recover_s) == (None, None)


def test_an_instance_restored_while_it_starts_took_no_time_to_recover() -> None:
    kill, _ = incidents(seen(2.5, EventKind.EJECTED, "a"), seen(5.25, EventKind.RESTORED, "a"))
    assert kill.time_to_recover_s == 0


def test_another_servers_ejection_and_one_long_after_are_not_its_own() -> None:
    kill, freeze = incidents(seen(3, EventKind.EJECTED, "c"), seen(9.5, EventKind.EJECTED, "b"))
    assert kill.ejected_s is None
    assert freeze.ejected_s is None
