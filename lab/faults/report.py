"""Tell which requests failed or were executed twice, and how each fault was noticed and overcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from lab.faults.fault import Fault
from lab.faults.injector import FaultRecord
from lab.faults.watch import BalancerEvent
from lab.load.outcomes import Outcome
from lab.load.result import RequestRecord
from lab.measure.measurement import Measurement
from lab.topology import Service, Topology
from services.balancer.events import EventKind

__all__ = ["FaultRun", "Incident", "Request", "executions", "incidents_of", "repeated"]


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it was intended to start, in seconds since the load began, and what became of it."""

    at_s: float
    response_time_s: float
    outcome: str
    succeeded: bool

    @property
    def ended_s(self) -> float:
        """When the request was over, in seconds since the load began."""
        return self.at_s + self.response_time_s


@dataclass(frozen=True, slots=True)
class Incident:
    """A fault and its consequences; times in seconds since the load began, delays in seconds."""

    fault: Fault
    began_s: float
    ended_s: float
    ejected_s: float | None
    """When its balancer ejected the instance; None if it did not, or does not tell."""
    restored_s: float | None
    """When the instance was chosen again after the end of the fault."""
    requests: int
    """Requests intended from the beginning of the fault to that of the next, or to the end."""
    failed: int
    """Requests that failed in that time, whenever they were intended to start."""
    slowest_s: float
    """The longest response time among them."""

    @property
    def time_to_detect_s(self) -> float | None:
        """Seconds from the fault's beginning to the ejection."""
        return None if self.ejected_s is None else self.ejected_s - self.began_s

    @property
    def time_to_recover_s(self) -> float | None:
        """Seconds from the fault's end until the instance was chosen again."""
        return None if self.restored_s is None else max(0.0, self.restored_s - self.ended_s)


@dataclass(frozen=True, slots=True)
class FaultRun:
    """One topology under load and faults: every request, every event, and the counts."""

    topology: str
    balancer: str
    placement: str
    rate: float
    duration_s: float
    requests: tuple[Request, ...]
    due: int
    """Requests of the schedule."""
    dropped: int
    """Requests never sent, because the load was over first."""
    executed_twice: Mapping[str, int]
    """Requests that a service began to execute more than once, by service."""
    incidents: tuple[Incident, ...]
    events: tuple[BalancerEvent, ...]
    """The balancers' events, `at_s` in seconds since the load began; none where balancers tell of none."""
    balancers_rss_mb: float | None
    """Resident memory of all balancers in 10⁶ bytes at the end; None where services share it."""
    measurement: Measurement
    """The run as a row; what the faults do on purpose does not make it invalid."""

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of requests by outcome, most frequent first."""
        return dict(Counter(request.outcome for request in self.requests).most_common())

    @property
    def succeeded(self) -> int:
        """Requests answered with a status of success."""
        return sum(request.succeeded for request in self.requests)

    @property
    def failed(self) -> int:
        """Requests that were sent and failed, lost ones among them."""
        return len(self.requests) - self.succeeded

    @property
    def lost(self) -> int:
        """Requests unaccounted for: neither answered nor failed when the time to drain was over."""
        unanswered = sum(request.outcome == Outcome.UNANSWERED for request in self.requests)
        return self.due - self.dropped - len(self.requests) + unanswered

    @property
    def retried(self) -> int:
        """Requests that a balancer sent to another instance, each time counted."""
        return sum(event.kind is EventKind.RETRIED for event in self.events)


def incidents_of(
    records: Sequence[FaultRecord],
    requests: Sequence[Request],
    events: Sequence[BalancerEvent],
    origin_s: float,
) -> tuple[Incident, ...]:
    """Return the incidents in order of time.

    Times of `records` are on the monotonic clock, those of requests and events since the load began.
    """
    ordered = sorted(records, key=lambda each: each.began_s)
    begins = [each.began_s - origin_s for each in ordered]
    ends = [*begins, inf][1:]
    return tuple(
        _incident(
            each,
            [request for request in requests if begin <= request.at_s < end],
            sum(begin <= request.ended_s < end for request in requests if not request.succeeded),
            events,
            origin_s,
        )
        for each, begin, end in zip(ordered, begins, ends, strict=True)
    )


def _incident(
    record: FaultRecord,
    requests: Sequence[Request],
    failed: int,
    events: Sequence[BalancerEvent],
    origin_s: float,
) -> Incident:
    began, ended = record.began_s - origin_s, record.ended_s - origin_s
    own = [event for event in events if event.instance == record.fault.target]
    ejected = _first(own, EventKind.EJECTED, began, ended + GRACE_S)
    restored = None
    if ejected is not None:
        restored = _first(own, EventKind.RESTORED, max(ejected, record.relieved_s - origin_s))
    return Incident(
        fault=record.fault,
        began_s=began,
        ended_s=ended,
        ejected_s=ejected,
        restored_s=restored,
        requests=len(requests),
        failed=failed,
        slowest_s=max((request.response_time_s for request in requests), default=0.0),
    )


GRACE_S = 1.0
"""Seconds. An ejection so soon after a fault's end still follows from attempts begun before."""


def _first(
    events: Sequence[BalancerEvent], kind: EventKind, since_s: float, until_s: float = inf
) -> float | None:
    times = (event.at_s for event in events if event.kind is kind and since_s <= event.at_s <= until_s)
    return next(times, None)


def requests_of(journal: Sequence[RequestRecord], origin_ns: int) -> tuple[Request, ...]:
    """Return the requests of a run's journal, in seconds since the load began at `origin_ns`."""
    return tuple(
        Request((e.intended_ns - origin_ns) / 1e9, e.response_time_s, e.outcome, e.succeeded) for e in journal
    )


def executions(folder: Path, service: Service) -> Counter[str]:
    """Count how often the instances of a service began each request, by its id, from their ledgers."""
    counted: Counter[str] = Counter()
    # Every file of that service: instances that came or went while it ran have theirs too.
    for file in folder.glob(f"{service.name}*"):
        counted.update(file.read_text(encoding="utf-8").split())
    return counted


def repeated(folder: Path, topology: Topology) -> dict[str, int]:
    """Count the requests that each service began to execute more than once, by the service's name."""
    return {
        service.name: sum(1 for times in executions(folder, service).values() if times > 1)
        for service in topology.services
    }
