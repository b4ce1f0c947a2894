"""What a sweep tells while it runs, as data. Each view on it is a listener: a line in a terminal, a panel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.load.result import Progress
from lab.measure.columns import Factors
from lab.measure.measurement import Measurement
from lab.measure.row import Trial
from lab.progress import SecondsBar
from lab.trials import InvalidTrials

__all__ = ["ProgressLine", "SweepEvent", "SweepListener", "TrialBegun", "TrialEnded", "TrialProgress"]


@dataclass(frozen=True, slots=True)
class TrialBegun:
    """A trial begins: number `place` of `trials` that are to be run now, planned to take `planned_s`."""

    trial: Trial
    factors: Factors
    place: int
    trials: int
    planned_s: float


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """A trial is under way, told about four times a second."""

    begun: TrialBegun
    progress: Progress

    @property
    def rate_rps(self) -> float:
        """Answers a second since the load began."""
        return self.progress.succeeded / self.progress.elapsed_s if self.progress.elapsed_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial is over, and its row is on the disk."""

    begun: TrialBegun
    row: Measurement


SweepEvent = TrialBegun | TrialProgress | TrialEnded
SweepListener = Callable[[SweepEvent], None]
"""Called with each event, in the thread that runs the sweep: it is to return at once."""


class ProgressLine:
    """The listener that a terminal has: a bar with rate, median and valid trials so far, and what goes wrong.

    It says so once two trials were invalid for one reason, and the sweep goes on.
    """

    def __init__(self, bar: SecondsBar) -> None:
        self._bar = bar
        self._ended = 0
        self._invalid = InvalidTrials()
        self._valid = 0

    def __call__(self, event: SweepEvent) -> None:
        """Show one event."""
        match event:
            case TrialBegun():
                self._say(event)
            case TrialProgress():
                self._say(event.begun, *self._figures(event))
                self._bar.within(event.progress.elapsed_s, event.begun.planned_s)
            case TrialEnded():
                self._count(event.row)
                self._say(event.begun, *_of_row(event.row))
                self._bar.finish(event.begun.planned_s)

    def _say(self, begun: TrialBegun, *figures: str) -> None:
        so_far = [f"valid so far {self._valid} of {self._ended}"] if self._ended else []
        where = f"trial {begun.place} of {begun.trials}: {name_of(begun.factors)}"
        self._bar.say(", ".join([where, *figures, *so_far]))

    def _figures(self, event: TrialProgress) -> list[str]:
        median = event.progress.p50_ms
        return [f"{event.rate_rps:.3g} req/s", *([] if median is None else [f"p50 {median:.3g} ms"])]

    def _count(self, row: Measurement) -> None:
        self._ended += 1
        self._valid += row.health.valid
        self._invalid.count(row.health.invalid_reason)


def name_of(factors: Factors) -> str:
    """Return a short name of what is measured, such as "parallel at 8"."""
    return f"{factors.topology} at {factors.concurrency or f'{factors.requested_rate:g}/s'}"


def _of_row(row: Measurement) -> list[str]:
    rate, median = row.outcome.throughput_rps, row.outcome.response_time_p50_ms
    told = [] if rate is None else [f"{rate:.3g} req/s"]
    told += [] if median is None else [f"p50 {median:.3g} ms"]
    return told if row.health.valid else [*told, f"invalid ({row.health.invalid_reason})"]
