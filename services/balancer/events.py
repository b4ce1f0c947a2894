"""What happens to instances and requests, and its log: one JSON object a line, the last few kept."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from services.balancer.instances import InstanceState

__all__ = ["Event", "EventKind", "EventLog", "Listener", "ignore"]


class EventKind(StrEnum):
    """What happened."""

    EJECTED = "ejected"
    """An instance is not chosen any more, or, after a trial that failed, still not."""
    RESTORED = "restored"
    """An instance is chosen again."""
    RETRIED = "retried"
    """A request goes to another instance, after the one named failed it; or there again, over a connection
    that is new, where it met one that was `stale`."""
    DENIED = "denied"
    """A request might have gone to another instance, and does not, for the reason named."""
    QUEUED_OUT = "queued_out"
    """A request found no room in the queue, or waited there too long."""
    SHORT = "short"
    """The balancer itself ran out of something, as the reason says."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log. `at` is in seconds on the clock that all times given to the balancer are of."""

    kind: EventKind
    at: float
    instance: InstanceState | None
    reason: str


Listener = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Do nothing: a listener for those who need none."""


KEPT = 1000

_logger = logging.getLogger("services.balancer")


class EventLog:
    """A log that writes events to the logger `services.balancer`, and remembers the last thousand.

    Each line has `at` in seconds on the monotonic clock, `balancer`, `event`, `instance` (its label, or null)
    and `reason`.
    """

    def __init__(self, balancer: str) -> None:
        self._balancer = balancer
        self._last: deque[dict[str, object]] = deque(maxlen=KEPT)

    def write(self, event: Event) -> None:
        """Add one line."""
        line = {
            "at": round(event.at, 6),
            "balancer": self._balancer,
            "event": str(event.kind),
            "instance": event.instance.label if event.instance else None,
            "reason": str(event.reason),
        }
        self._last.append(line)
        _logger.info("%s", _Line(line))

    def last(self) -> list[dict[str, object]]:
        """Return the last events, oldest first."""
        return list(self._last)


class _Line:
    """A line that becomes JSON only if a handler wants it."""

    def __init__(self, line: dict[str, object]) -> None:
        self._line = line

    def __str__(self) -> str:
        return json.dumps(self._line)
