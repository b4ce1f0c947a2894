"""The log of what happens to instances and requests: one JSON object a line, and the last few to look at."""

from __future__ import annotations

import json
import logging
from collections import deque

from services.balancer.events import Event

__all__ = ["EventLog"]

KEPT = 1000

_logger = logging.getLogger("services.balancer")


class EventLog:
    """Writes events to the logger `services.balancer`, and remembers the last thousand.

    Each has `at` in seconds on the monotonic clock, `balancer`, `event`, `instance` (its label, or null) and
    `reason`.
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
        """The last events, oldest first."""
        return list(self._last)


class _Line:
    """Becomes JSON only if a handler wants it."""

    def __init__(self, line: dict[str, object]) -> None:
        self._line = line

    def __str__(self) -> str:
        return json.dumps(self._line)
