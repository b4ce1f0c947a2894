"""How throughput grows with concurrency: the knee of each curve, and the scalability law fitted to it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lab.charts.axes import label_axes, legend_below, log_steps, log_values, panel_axes
from lab.charts.chart import Chart, styled
from lab.charts.marks import draw_points, invalid_entry, points_entry
from lab.charts.series import Panel, Series, panels_of
from lab.charts.style import INK, Look, looks
from lab.charts.tables import Table, figure_of
from lab.measure.statistics import Interval
from lab.results.counted import counted, uncounted, valid

if TYPE_CHECKING:
    from lab.saturation import ScalabilityFit

__all__ = ["COLUMN", "HEADER", "Growth", "growth_of", "scalability", "scalability_table"]

COLUMN = "throughput_rps"
LEAST_LEVELS = 4
"""How many concurrencies a fit of three parameters needs, for its misfit to show."""
FLAT = 1.1
"""A curve that rises by less than this factor is flat: there is no growth to fit."""
MISSED = 0.05
"""A miss above this share is one that the eye sees: where trials do not explain it, the law does not fit."""
MISSED_WITHOUT_REPEATS = 0.1
"""The same where each concurrency has one trial, so that nothing tells how much trials scatter."""
LOOSE = 2.0
"""A fit whose interval reaches this factor above its throughput says nothing."""
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
"""The header of `Growth.cells`."""


@dataclass(frozen=True, slots=True)
class Growth:
    """How one series grows with concurrency, by its valid trials."""

    panel: str
    series: Series
    grown: dict[float, float]
    """Throughput in requests a second, by concurrency."""
    knee: float | None
    """The concurrency of the knee; None in an open loop, or where fewer than two concurrencies are known."""
    fit: ScalabilityFit | None
    remark: str
    """How near the law comes to the points, or why there is no fit."""

    @property
    def cells(self) -> tuple[str, ...]:
        """The line of this series in a table."""
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
    """Find the knee of a series and fit the law, by its valid trials."""
    from lab.saturation import fit_scalability, knee  # with what drives load, which no other chart needs

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
    misses = {n: abs(x / float(fit.law.throughput(n)) - 1) for n, x in grown.items()}
    worst = max(misses, key=misses.__getitem__)
    why_not = _misfit(fit, worst, misses[worst], repeated=len(rows) > len(grown))
    if not why_not and not all(each.high < LOOSE * each.estimate for each in map(fit.throughput, grown)):
        why_not = _loose(misses[worst], len(grown))
    if why_not:
        return Growth(panel.label, series, grown, bend, None, why_not)
    return Growth(panel.label, series, grown, bend, fit, _how_well(fit, misses[worst], max(grown)))


def _misfit(fit: ScalabilityFit, worst: float, missed: float, *, repeated: bool) -> str | None:
    """Say where the data contradict the law; None where they do not."""
    contradicted = fit.contradicted and missed > MISSED
    if not (contradicted if repeated else missed > MISSED_WITHOUT_REPEATS):
        return None
    beyond = ", more than trials scatter" if repeated else ""
    return f"does not fit: the law misses the throughput at {worst:g} by {_percent(missed)}{beyond}"


def _known(series: Series, column: str) -> dict[float, float]:
    told = {point.x: point.interval.estimate for point in series.points(column)}
    return {x: estimate for x, estimate in told.items() if not math.isnan(estimate)}


def _unfit(series: Series, grown: dict[float, float]) -> str | None:
    """Say why the law cannot be fitted; None where it can."""
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
    """Write a share with three significant digits and no exponent; below a millionth it is 0."""
    estimate, low, high = (
        np.format_float_positional(round(float(x), 6), precision=3, fractional=False, trim="-")
        for x in (share.estimate, share.low, share.high)
    )
    return f"{estimate} ({low}–{high})"


def _peak_text(peak: Interval) -> str:
    return figure_of(peak) if peak.known else "none shown"


_LAW = "Universal Scalability Law X(N) = λN / (1 + σ(N − 1) + κN(N − 1))"
_CAPTION = (
    "Ringed: the knee, the measured concurrency at which throughput / response_time is greatest. "
    f"Lines and bands: the {_LAW} and its 95 % interval, where it fits."
)
_RING: Any = {"markersize": 14, "markerfacecolor": "none", "linestyle": "none"}
_APART = 1.05
"""The factor by which points of two curves are moved apart along the axis, so that equal ones both show."""


@styled
def scalability(rows: pd.DataFrame, series: str = "topology") -> Chart:
    """Draw throughput against concurrency in a closed loop, with the knee and the fitted scalability law.

    `rows` are as `lab.results.read` gives them. Points without a fit stand alone, where trials are too few or
    scatter too much. The caption holds `scalability_table`.
    """
    panels = panels_of(rows, series)
    look_of = looks(list(dict.fromkeys(each.name for panel in panels for each in panel.series)))
    figure, places = panel_axes(len(panels))
    curves = []
    for ax, panel in zip(places, panels, strict=True):
        ax.set_title(panel.label)
        log_steps(ax.xaxis, [x for each in panel.series for x in each.places])
        for place, each in enumerate(panel.series):
            curves.append(growth_of(panel, each))
            _draw(ax, curves[-1], look_of[each.name], _APART ** (place - (len(panel.series) - 1) / 2))
    label_axes(places, [panel.axis for panel in panels], "throughput (req/s)")
    told = (value for each in curves for of in (counted, uncounted) for value in of(each.series.rows, COLUMN))
    log_values(places[0].yaxis, told)
    legend_below(figure, list(_handles(curves, look_of)), columns=3)
    table = _table(curves)
    return Chart(
        figure,
        _answer(curves),
        "Throughput by concurrency, with the knee and the fitted scalability law",
        f"{_CAPTION}\n\n{table}",
        " ".join(_in_words(line) for line in table.rows),
    )


def _answer(curves: Sequence[Growth]) -> str:
    """Say where each curve bends, of at most three."""
    bent = [curve for curve in curves if curve.knee is not None]
    told = [f"{', '.join(filter(None, (c.series.name, c.panel)))}: {c._knee_text}" for c in bent]
    if not told:
        return "Nothing shows where throughput stops to grow"
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return f"More in flight stops to pay at so many: {'; '.join(told[:3])}{more}"


def scalability_table(rows: pd.DataFrame, series: str = "topology") -> Table:
    """List each curve: its knee, the law's parameters and peak with 95 % intervals, and how well it fits."""
    return _table([growth_of(panel, each) for panel in panels_of(rows, series) for each in panel.series])


def _table(curves: Sequence[Growth]) -> Table:
    return Table(HEADER, tuple(curve.cells for curve in curves))


def _draw(ax: Axes, curve: Growth, look: Look, aside: float) -> None:
    draw_points(ax, list(curve.series.points(COLUMN)), replace(look, line="none"), aside)
    if curve.knee is not None and curve.knee_is_inside:
        ring = _RING | {"color": look.colour, "marker": look.marker}
        ax.plot(curve.knee * aside, curve.grown[curve.knee], zorder=6, **ring)
    if curve.fit is None:
        return
    along = np.geomspace(min(curve.grown), max(curve.grown), 200)
    law = [curve.fit.throughput(float(n)) for n in along]
    ends = [each.low for each in law], [each.high for each in law]
    ax.plot(along, [each.estimate for each in law], color=look.colour, linestyle=look.line, zorder=3)
    ax.fill_between(along, *ends, color=look.colour, alpha=0.16, linewidth=0, zorder=1)
    for end in ends:
        ax.plot(along, end, color=look.colour, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=2)


def _handles(curves: Sequence[Growth], look_of: dict[str, Look]) -> Iterator[Artist]:
    fitted = {curve.series.name for curve in curves if curve.fit}
    for name, look in look_of.items():
        yield points_entry(f"{name}, measured", replace(look, line="none"))
        if name in fitted:
            label = f"{name}, law with 95 % interval"
            yield Line2D([], [], color=look.colour, linestyle=look.line, label=label)
    if any(curve.knee_is_inside for curve in curves):
        yield Line2D([], [], color=INK, marker="o", label="knee", **_RING)
    if any(not valid(curve.series.rows).all() for curve in curves):
        yield invalid_entry()


def _in_words(cells: tuple[str, ...]) -> str:
    name, *told = cells
    return f"{name}: {', '.join(f'{head} {cell}' for head, cell in zip(HEADER[1:], told, strict=True))}."
