"""What happens to instances and requests that is worth a line in the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.balancer.instances import Instance

__all__ = ["Event", "EventKind", "Listener", "ignore"]


class EventKind(StrEnum):
    """What happened."""

    EJECTED = "ejected"
    """An instance is not chosen any more, or, after a trial that failed, still not."""
    RESTORED = "restored"
    """An instance is chosen again."""
    RETRIED = "retried"
    """A request goes to another instance, after the one named failed it."""
    DENIED = "denied"
    """A request might have gone to another instance, and for the reason named does not."""
    QUEUED_OUT = "queued_out"
    """A request found no room in the queue, or waited there too long."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `at` is in seconds on the clock that the caller passes everywhere."""

    kind: EventKind
    at: float
    instance: Instance | None
    reason: str


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Listens to nothing."""
