"""Throughput and latency against concurrency, with what the documents and the theory say of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lab.charts.axes import label_axes, legend_below, log_steps, log_values, panel_axes
from lab.charts.captions import caption
from lab.charts.chart import Chart
from lab.charts.findings import Claim, Finding, findings_of
from lab.charts.limits import LimitOf, latency_limit, throughput_limit
from lab.charts.series import Panel, Point, Series, panels_of
from lab.charts.style import GREY, INK, Look, looks, styled
from lab.expectations import Band, Expectation, expected_of

__all__ = ["latency", "throughput"]

_DASHES = (0, (4, 2.5))
_APART = 0.012
"""By what share of the axis two curves are moved apart along it, so that equal points both show."""
_BOX = 1.22
"""How far, as a factor, the box of a documented band reaches to both sides of where it is judged."""


@dataclass(frozen=True, slots=True)
class _Quantity:
    """What is drawn up the side."""

    column: str
    title: str
    label: str
    claims: tuple[Claim, ...]
    band: Callable[[Expectation], Band]
    limit: LimitOf
    limits: str


_THROUGHPUT = _Quantity(
    "throughput_rps",
    "Throughput",
    "throughput (req/s)",
    (Claim.THROUGHPUT, Claim.RATIO),
    lambda expected: expected.throughput_rps,
    throughput_limit,
    "asymptotic bounds N/D and 1/Dmax",
)
_LATENCY = _Quantity(
    "response_time_mean_ms",
    "Mean response_time",
    "mean response_time (ms)",
    (Claim.LATENCY,),
    lambda expected: expected.response_time_ms,
    latency_limit,
    "asymptotic bounds D and N·Dmax",
)


@styled
def throughput(rows: pd.DataFrame, series: str = "topology") -> Chart:
    """Throughput against concurrency, or against the requested rate of an open loop; a curve a topology.

    `rows` as `lab.results.read` gives them; `series` names another factor to tell curves apart by.
    """
    return _curves(rows, series, _THROUGHPUT)


@styled
def latency(rows: pd.DataFrame, series: str = "topology") -> Chart:
    """The mean response_time against concurrency; otherwise as `throughput`."""
    return _curves(rows, series, _LATENCY)


def _curves(rows: pd.DataFrame, series: str, quantity: _Quantity) -> Chart:
    panels = panels_of(rows, series)
    look_of = looks(list(dict.fromkeys(each.name for panel in panels for each in panel.series)))
    findings = [finding for claim in quantity.claims for finding in findings_of(rows, claim)]
    figure, places = panel_axes(len(panels))
    figure.suptitle(f"{quantity.title} under load", x=0.01, ha="left")
    for ax, panel in zip(places, panels, strict=True):
        _draw(ax, panel, quantity, look_of)
    label_axes(places, [panel.axis for panel in panels], quantity.label)
    log_values(places[0].yaxis, _heights(panels, quantity))
    for ax, panel in zip(places, panels, strict=True):
        for ratio in findings:
            if ratio.claim is Claim.RATIO and ratio.panel == panel.label and series == "topology":
                _bracket(ax, panel, quantity, ratio)
    legend_below(figure, list(_handles(panels, quantity, look_of)), columns=2)
    return Chart(figure, caption(findings), _alternative(panels, quantity))


def _draw(ax: Axes, panel: Panel, quantity: _Quantity, look_of: dict[str, Look]) -> None:
    ax.set_title(panel.label)
    log_steps(ax.xaxis, [x for series in panel.series for x in series.places])
    middle = (len(panel.series) - 1) / 2
    left, right = ax.get_xlim()
    for place, series in enumerate(panel.series):
        look = look_of[series.name]
        _band(ax, series, quantity, look)
        _limit(ax, series, quantity, look)
        _points(ax, list(series.points(quantity.column)), look, (right / left) ** (_APART * (place - middle)))


def _heights(panels: tuple[Panel, ...], quantity: _Quantity) -> Iterator[float]:
    """Everything that the chart has to have room for."""
    for series in (series for panel in panels for series in panel.series):
        yield from series.rows[quantity.column].dropna()
        limit = quantity.limit(series.factors, series.axis)
        if limit:
            yield from (limit(x) for x in series.places)
        expected = _expected(series)
        if expected:
            yield from (quantity.band(expected).low, quantity.band(expected).high)


def _points(ax: Axes, points: list[Point], look: Look, aside: float) -> None:
    known = [point for point in points if not math.isnan(point.interval.estimate)]
    estimates = np.array([point.interval.estimate for point in known])
    ends = np.array([[point.interval.low, point.interval.high] for point in known]).reshape(-1, 2)
    ax.errorbar(
        [point.x * aside for point in known],
        estimates,
        yerr=np.nan_to_num(np.abs(ends.T - estimates)),
        color=look.colour,
        linestyle=look.line,
        marker=look.marker,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.8,
        linewidth=1.8,
        elinewidth=1.6,
        capsize=4,
        zorder=4,
    )
    for point in points:
        for value in point.invalid:
            _hollow(ax, point.x * aside, value, look)


def _hollow(ax: Axes, x: float, value: float, look: Look) -> None:
    """An invalid trial; on the floor of the chart where its figure is blank."""
    blank = not value > 0
    ax.plot(
        x,
        0.035 if blank else value,
        marker=look.marker,
        color=look.colour,
        markerfacecolor="white",
        markersize=7,
        clip_on=False,
        zorder=5,
        transform=ax.get_xaxis_transform() if blank else ax.transData,
    )


def _band(ax: Axes, series: Series, quantity: _Quantity, look: Look) -> None:
    """The documented band: faint all along, and strong where it is judged."""
    expected = _expected(series)
    if expected is None:
        return
    band = quantity.band(expected)
    beside = [expected.concurrency / _BOX, expected.concurrency * _BOX]
    if band.and_more:
        ax.fill_between(
            beside, band.high, 10 * band.high, color=look.colour, alpha=0.1, linewidth=0, zorder=1
        )
    ax.axhspan(band.low, band.high, color=look.colour, alpha=0.06, linewidth=0, zorder=0)
    ax.fill_between(
        beside,
        band.low,
        band.high,
        facecolor=(look.colour, 0.16),
        edgecolor=(look.colour, 0.6),
        hatch=look.hatch,
        linewidth=0,
        zorder=1,
    )


def _limit(ax: Axes, series: Series, quantity: _Quantity, look: Look) -> None:
    limit, places = quantity.limit(series.factors, series.axis), series.places
    if limit is None:
        return
    along = np.geomspace(places[0], places[-1], 200) if len(places) > 1 else np.array(places)
    heights = [limit(float(x)) for x in along]
    ax.plot(along, heights, color=look.colour, linestyle=_DASHES, linewidth=1.2, zorder=3)


def _bracket(ax: Axes, panel: Panel, quantity: _Quantity, ratio: Finding) -> None:
    """The ratio, beside the right ends of the two curves that it compares."""
    ends = [list(series.points(quantity.column))[-1] for series in panel.series]
    heights = [end.interval.estimate for end in ends]
    if len(ends) != 2 or any(math.isnan(height) for height in heights) or ends[0].x != ends[1].x:
        return
    ax.annotate(
        "",
        xy=(ends[0].x * 1.13, max(heights)),
        xytext=(ends[0].x * 1.13, min(heights)),
        arrowprops={"arrowstyle": "<->", "color": INK, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.1},
    )
    ax.annotate(
        f"{ratio.interval.estimate:.2f}×",
        xy=(ends[0].x * 1.16, math.sqrt(heights[0] * heights[1])),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        fontweight="bold",
        annotation_clip=False,
    )


def _handles(panels: tuple[Panel, ...], quantity: _Quantity, look_of: dict[str, Look]) -> Iterator[Artist]:
    everything = [series for panel in panels for series in panel.series]
    for name, look in look_of.items():
        yield Line2D([], [], color=look.colour, linestyle=look.line, marker=look.marker, label=name)
    judged = {series.name: _expected(series) for series in everything if _expected(series)}
    for name, expected in judged.items():
        look = look_of[name]
        if expected:
            yield Patch(
                facecolor=(look.colour, 0.16),
                edgecolor=(look.colour, 0.6),
                hatch=look.hatch,
                linewidth=0,
                label=f"documented, {name}: {quantity.band(expected)}, judged at {expected.concurrency}",
            )
    if any(quantity.limit(s.factors, s.axis) for s in everything):
        yield Line2D([], [], color=GREY, linestyle=_DASHES, linewidth=1.2, label=quantity.limits)
    if any(point.invalid for s in everything for point in s.points(quantity.column)):
        yield Line2D(
            [], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none", label="invalid trial"
        )


def _expected(series: Series) -> Expectation | None:
    """What the documents say of this series, if it was driven where they can be judged."""
    expected = expected_of(series.name)
    if expected is None or series.axis != "concurrency" or expected.concurrency not in series.places:
        return None
    return expected if (series.rows["replicas"] == expected.replicas).any() else None


def _alternative(panels: tuple[Panel, ...], quantity: _Quantity) -> str:
    """The points in words."""
    told = []
    for panel in panels:
        for series in panel.series:
            points = ", ".join(_in_words(point) for point in series.points(quantity.column))
            told.append(f"{panel.label} {series.name}: {points}".strip())
    return f"Chart of {quantity.label}. {'. '.join(told)}."


def _in_words(point: Point) -> str:
    estimate = point.interval.estimate
    return f"{'no valid trial' if math.isnan(estimate) else f'{estimate:.4g}'} at {point.x:g}"
