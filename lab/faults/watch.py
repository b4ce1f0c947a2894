"""Gather the events of the lab's own balancers while they happen: a balancer keeps only the last ones."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lab.errors import PlacementError
from lab.placement.running import Running
from services.balancer.events import EventKind

__all__ = ["BalancerEvent", "Watch"]

EVERY_S = 0.5
"""Seconds between two looks."""


@dataclass(frozen=True, slots=True, order=True)
class BalancerEvent:
    """One event of a balancer.

    `at_s` is on the monotonic clock; `instance` is a name, empty where the event is of none.
    """

    at_s: float
    balancer: str
    kind: EventKind
    instance: str
    reason: str


class Watch:
    """Asks every balancer for its events twice a second, from `start` to `close`."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._seen: set[BalancerEvent] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="fault watch", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def close(self) -> tuple[BalancerEvent, ...]:
        """Ask once more, and return all events in order of time."""
        self._over.set()
        self._thread.join()
        return tuple(sorted(self._seen))

    def _look_on(self) -> None:
        while not self._over.wait(EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        for service in self._running.topology.services:
            if service.balancer and self._running.alive(service.balancer.name):
                with suppress(PlacementError):  # it was killed a moment ago
                    status, events = self._running.ask(service.balancer, "GET", "/admin/events")
                    if status == 200:
                        self._seen.update(map(_seen, events))


def _seen(event: dict[str, Any]) -> BalancerEvent:
    name = (event["instance"] or "").rpartition(":")[0]
    return BalancerEvent(event["at"], event["balancer"], EventKind(event["event"]), name, event["reason"])
