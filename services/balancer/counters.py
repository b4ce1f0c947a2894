"""What a balancer counts: plain numbers, cheap to add to; metrics are made of them when asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from services.balancer.events import Event, EventKind
from services.balancer.instances import InstanceState
from services.wire.errors import SHORTAGES

__all__ = ["DURATION_BUCKETS_S", "AttemptEnd", "Counters"]

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds, as OpenTelemetry's semantic conventions advise for http.server.request.duration."""


class AttemptEnd(StrEnum):
    """How attempts end that were neither answered nor failed by their instance."""

    ABANDONED = "abandoned"
    """The client went away."""
    LATE = "late"
    """The time was over that the client gave the request, and not yet what a try may take."""
    STARVED = "starved"
    """The client did not send the body in time."""
    STALE = "stale"
    """The instance had just closed the kept connection, or was closing it as the request came."""
    SHORT = "short"
    """The balancer ran out of something with the request on its way."""


class Counters:
    """Counts since the start. Requests are what clients sent, attempts what instances were asked.

    Instances go by their labels, under which one that was removed may come back.
    """

    __slots__ = (
        "_leaving",
        "_past",
        "answers",
        "denials",
        "ejections",
        "failures",
        "retries",
        "seconds",
        "shortages",
        "timings",
        "unjudged",
    )

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], int] = {}
        """Requests by the label of who answered ("": the balancer itself) and status (499: abandoned)."""
        self.timings = [0] * (len(DURATION_BUCKETS_S) + 1)
        """How many requests took up to each bound of DURATION_BUCKETS_S, and the rest."""
        self.seconds = 0.0
        """How long all requests took together."""
        self.failures: Counter[tuple[str, str]] = Counter()
        """Failed attempts by instance and kind of failure."""
        self.unjudged: Counter[tuple[str, AttemptEnd]] = Counter()
        """Attempts that were neither answered nor failed, by instance and how they ended."""
        self.shortages: Counter[str] = Counter(dict.fromkeys(SHORTAGES.values(), 0))
        """How often the balancer itself ran out of what."""
        self.retries: Counter[str] = Counter()
        self.denials: Counter[str] = Counter()
        self.ejections: Counter[str] = Counter()
        self._past: Counter[str] = Counter()
        """Attempts that ended and did not fail at instances that are gone."""
        self._leaving: list[InstanceState] = []
        """Instances that were removed and may have attempts in flight."""

    def answered(self, by: InstanceState | None, status: int, seconds: float) -> None:
        """Count a request that is over: answered `by` an instance, or by the balancer itself (None)."""
        key = (by.label if by is not None else "", status)
        answers = self.answers
        answers[key] = answers.get(key, 0) + 1
        self.timings[bisect_left(DURATION_BUCKETS_S, seconds)] += 1
        self.seconds += seconds

    def count(self, event: Event) -> None:
        """Count an event, if it has a counter."""
        if event.kind is EventKind.RETRIED:
            self.retries[event.reason] += 1
        elif event.kind in (EventKind.DENIED, EventKind.QUEUED_OUT):
            self.denials[event.reason] += 1
        elif event.kind is EventKind.EJECTED and event.instance is not None:
            self.ejections[event.instance.label] += 1
        elif event.kind is EventKind.SHORT:
            self.shortages[event.reason] += 1

    def removed(self, instance: InstanceState) -> None:
        """Keep what an instance that was removed has counted, and will count until its last attempt ends."""
        self._leaving.append(instance)
        for gone in [known for known in self._leaving if not known.in_flight]:
            self._leaving.remove(gone)
            self._past[gone.label] += gone.requests - gone.errors

    def answered_attempts(self, present: Iterable[InstanceState]) -> dict[str, int]:
        """Return how many attempts were answered, by label, at `present` and at removed instances."""
        numbers = self._past.copy()
        for instance in (*present, *self._leaving):
            numbers[instance.label] += instance.requests - instance.errors - instance.in_flight
        for (label, _), number in self.unjudged.items():
            numbers[label] -= number
        return dict(numbers)
