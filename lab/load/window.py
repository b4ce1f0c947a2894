"""What was recorded of one window, of one generator or of several together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.load.histogram import Histogram

__all__ = ["Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """What was recorded of requests intended to start in one window."""

    outcomes: dict[str, int]
    """How many, by name of outcome; those dropped are not among them."""
    dropped: int
    """Never sent, because the run was over first."""
    response_time: Histogram
    """Of successes, from the intended start."""
    service_time: Histogram
    """Of successes, from the actual send."""
    schedule_lag: Histogram
    """How late the pacer was with each."""
    stages: dict[str, tuple[float, int]]
    """By Server-Timing metric: milliseconds in all, and the number of successes that named it."""

    @classmethod
    def merged(cls, windows: Iterable[Window]) -> Window:
        """That of several generators together."""
        parts = list(windows)
        outcomes: Counter[str] = Counter()
        stages: dict[str, tuple[float, int]] = {}
        for part in parts:
            outcomes.update(part.outcomes)
            for metric, (total, count) in part.stages.items():
                before = stages.get(metric, (0.0, 0))
                stages[metric] = (before[0] + total, before[1] + count)
        return cls(
            outcomes=dict(outcomes),
            dropped=sum(part.dropped for part in parts),
            response_time=Histogram.merged(part.response_time for part in parts),
            service_time=Histogram.merged(part.service_time for part in parts),
            schedule_lag=Histogram.merged(part.schedule_lag for part in parts),
            stages=stages,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "outcomes": self.outcomes,
            "dropped": self.dropped,
            "response_time": self.response_time.to_json(),
            "service_time": self.service_time.to_json(),
            "schedule_lag": self.schedule_lag.to_json(),
            "stages": self.stages,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Window:
        """The inverse of `to_json`."""
        return cls(
            outcomes=data["outcomes"],
            dropped=data["dropped"],
            response_time=Histogram.from_json(data["response_time"]),
            service_time=Histogram.from_json(data["service_time"]),
            schedule_lag=Histogram.from_json(data["schedule_lag"]),
            stages={metric: (total, count) for metric, (total, count) in data["stages"].items()},
        )
