"""How one curve grows with concurrency: its knee, and the Universal Scalability Law where it can be had."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lab.charts.series import Panel, Series, valid
from lab.charts.tables import figure_of
from lab.measure.statistics import Interval
from lab.saturation import ScalabilityFit, fit_scalability, knee

__all__ = ["COLUMN", "HEADER", "Growth", "growth_of"]

COLUMN = "throughput_rps"
LEAST_LEVELS = 4
"""Concurrencies that a fit of three parameters needs, for its misfit to show."""
FLAT = 1.1
"""A curve that rises by less than this factor is flat: there is no growth to fit."""
LOOSE = 2.0
"""Where the interval of the law's throughput reaches to this factor above it, it says nothing."""
HEADER = (
    "curve",
    "knee (in flight)",
    "λ (req/s)",
    "contention σ",
    "coherence κ",
    "peak concurrency",
    "peak throughput (req/s)",
    "fit",
)
"""Of `Growth.cells`."""


@dataclass(frozen=True, slots=True)
class Growth:
    """One series: how it grows where a trial is valid."""

    panel: str
    series: Series
    grown: dict[float, float]
    """By concurrency, the throughput in requests a second."""
    knee: float | None
    """None without a closed loop, or without valid trials at two concurrencies."""
    fit: ScalabilityFit | None
    remark: str
    """How near the law comes, or why there is none."""

    @property
    def cells(self) -> tuple[str, ...]:
        """Its line in a table."""
        name = ", ".join(part for part in (self.series.name, self.panel) if part)
        if self.fit is None:
            return (name, self._knee_text, *["–"] * 5, self.remark)
        fit = self.fit
        law = [figure_of(fit.rate), _share_text(fit.contention), _share_text(fit.coherence)]
        peak = [_peak_text(each) for each in (fit.peak_concurrency, fit.peak_throughput)]
        return (name, self._knee_text, *law, *peak, self.remark)

    @property
    def knee_is_inside(self) -> bool:
        """Whether the curve goes on to both sides of its knee."""
        return self.knee is not None and min(self.grown) < self.knee < max(self.grown)

    @property
    def _knee_text(self) -> str:
        if self.knee is None:
            return "–"
        bound = "" if self.knee_is_inside else "at least " if self.knee == max(self.grown) else "at most "
        return f"{bound}{self.knee:g}"


def growth_of(panel: Panel, series: Series) -> Growth:
    """What the valid trials of the series say."""
    grown, times = _known(series, COLUMN), _known(series, "response_time_mean_ms")
    both = [x for x in grown if x in times]
    bend = None
    if series.axis == "concurrency" and len(both) > 1:
        bend = knee(both, [grown[x] for x in both], [times[x] for x in both])
    why_not = _unfit(series, grown)
    if why_not:
        return Growth(panel.label, series, grown, bend, None, why_not)
    rows = series.rows[valid(series.rows) & (series.rows[COLUMN] > 0)]
    fit = fit_scalability(rows[series.axis].tolist(), rows[COLUMN].tolist())
    missed = max(abs(x / float(fit.law.throughput(n)) - 1) for n, x in grown.items())
    if not all(each.high < LOOSE * each.estimate for each in map(fit.throughput, grown)):
        return Growth(panel.label, series, grown, bend, None, _loose(missed, len(grown)))
    return Growth(panel.label, series, grown, bend, fit, _how_well(fit, missed, max(grown)))


def _known(series: Series, column: str) -> dict[float, float]:
    told = {point.x: point.interval.estimate for point in series.points(column)}
    return {x: estimate for x, estimate in told.items() if not math.isnan(estimate)}


def _unfit(series: Series, grown: dict[float, float]) -> str | None:
    """Why the law cannot be fitted; None where it can."""
    if series.axis != "concurrency":
        return "no fit: an open loop has no concurrency of its own"
    if len(grown) < LEAST_LEVELS:
        return f"no fit: {len(grown)} concurrencies with a valid trial, and it takes {LEAST_LEVELS}"
    if max(grown.values()) < FLAT * min(grown.values()):
        return f"no fit: flat, throughput grows by less than {100 * (FLAT - 1):.0f} % over all concurrencies"
    return None


def _loose(missed: float, levels: int) -> str:
    return (
        f"no fit: the law misses points by up to {_percent(missed)}, and {levels} concurrencies are too few "
        "to tell its parameters"
    )


def _how_well(fit: ScalabilityFit, missed: float, highest: float) -> str:
    said = f"misses no point by more than {_percent(missed)}"
    if fit.peak_concurrency.known and fit.peak_concurrency.estimate > highest:
        said += "; its peak lies beyond what was measured"
    return said


def _percent(share: float) -> str:
    return f"{100 * max(share, 0.001):.1f} %"


def _share_text(share: Interval) -> str:
    """Three significant digits, without exponents; what is below a millionth is 0."""
    estimate, low, high = (
        np.format_float_positional(round(float(x), 6), precision=3, fractional=False, trim="-")
        for x in (share.estimate, share.low, share.high)
    )
    return f"{estimate} ({low}–{high})"


def _peak_text(peak: Interval) -> str:
    return figure_of(peak) if peak.known else "none shown"
