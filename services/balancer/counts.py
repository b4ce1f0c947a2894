"""What a balancer counts: plain numbers, cheap to add to, from which metrics are made when asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

from services.balancer.events import Event, EventKind
from services.balancer.instances import Instance

__all__ = ["DURATION_BUCKETS_S", "Counts"]

DURATION_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds, as OpenTelemetry's semantic conventions advise for http.server.request.duration."""


class Counts:
    """Counters since the start. Requests are what clients sent, attempts what instances were asked."""

    __slots__ = ("answers", "denials", "ejections", "failures", "released", "retries", "seconds", "timings")

    def __init__(self) -> None:
        self.answers: dict[tuple[Instance | None, int], int] = {}
        """By who gave it (None: the balancer itself) and status; 499 for a client that went away."""
        self.timings = [0] * (len(DURATION_BUCKETS_S) + 1)
        """How many requests took up to each bound, and the rest."""
        self.seconds = 0.0
        """How long all of them took together."""
        self.failures: Counter[tuple[Instance, str]] = Counter()
        """Failed attempts by instance and kind of failure."""
        self.released: Counter[Instance] = Counter()
        """Attempts given up, because the client went away."""
        self.retries: Counter[str] = Counter()
        self.denials: Counter[str] = Counter()
        self.ejections: Counter[Instance] = Counter()

    def answered(self, by: Instance | None, status: int, seconds: float) -> None:
        """A request is over."""
        key = (by, status)
        answers = self.answers
        answers[key] = answers.get(key, 0) + 1
        self.timings[bisect_left(DURATION_BUCKETS_S, seconds)] += 1
        self.seconds += seconds

    def heard(self, event: Event) -> None:
        """Something happened that has a counter."""
        if event.kind is EventKind.RETRIED:
            self.retries[event.reason] += 1
        elif event.kind in (EventKind.DENIED, EventKind.QUEUED_OUT):
            self.denials[event.reason] += 1
        elif event.kind is EventKind.EJECTED and event.instance is not None:
            self.ejections[event.instance] += 1
