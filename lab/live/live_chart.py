"""A chart that the browser draws point by point: what one is, and how trials become points."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from lab.experiment_events import TrialBegun, TrialEnded
from lab.measure.measurement import Measurement
from lab.measure.statistics import log_interval

if TYPE_CHECKING:
    from lab.charts import Chart

__all__ = ["Cells", "Data", "LiveChart", "Spot", "rounded"]

Data = dict[str, Any]
"""What is ready for JSON."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a point is drawn: which panel, which series, and where along the axis."""

    panel: int
    series: int
    x: float

    @property
    def data(self) -> list[float]:
        """The spot as the browser takes it."""
        return [self.panel, self.series, self.x]


class LiveChart(Protocol):
    """The chart of an experiment, drawn by the browser point by point."""

    outline: Data
    """Axes, series, bands and limits, ready for JSON."""

    def spots(self, begun: TrialBegun) -> list[list[float]]:
        """Return where the trial that begins will be drawn."""

    def points(self, ended: TrialEnded) -> list[Data]:
        """Take in a trial, and return the points that it changes."""

    def picture(self) -> Chart | None:
        """Draw what was measured, for good; None where nothing was."""


@dataclass(slots=True)
class Cells:
    """The trials of each cell so far, by one figure of their rows."""

    column: str
    valid: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    invalid: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def take(self, row: Measurement) -> None:
        """Take in a row."""
        value = getattr(row.outcome, self.column)
        if row.health.valid and value:
            self.valid[row.what.cell_id].append(value)
        else:
            self.invalid[row.what.cell_id].append(value or 0.0)

    def point(self, cell_id: str, spots: Sequence[Spot]) -> Data:
        """Return the point of a cell, as the browser takes it."""
        interval = log_interval(self.valid[cell_id])
        return {
            "at": [spot.data for spot in spots],
            "y": rounded(interval.estimate),
            "low": rounded(interval.low),
            "high": rounded(interval.high),
            "valid": len(self.valid[cell_id]),
            "bad": [rounded(value) for value in self.invalid[cell_id]],
        }


def rounded(value: float) -> float | None:
    """Return the value with the digits that a pixel can show; None where there is none."""
    return float(f"{value:.5g}") if math.isfinite(value) else None
