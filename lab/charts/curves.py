"""Throughput and latency against load, with the documented bands and the bounds by theory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from lab.charts.axes import label_axes, legend_below, log_steps, log_values, panel_axes
from lab.charts.chart import Chart, styled
from lab.charts.findings import Claim, Finding, caption, findings_of, judged_at
from lab.charts.marks import (
    Limit,
    LimitOf,
    band_entry,
    draw_band,
    draw_limit,
    draw_points,
    draw_ratio,
    invalid_entry,
    latency_limit,
    limit_entry,
    points_entry,
    throughput_limit,
)
from lab.charts.series import Panel, Point, Series, panels_of
from lab.charts.style import Look, looks
from lab.charts.titles import most_done, time_taken
from lab.expectations import Band, Expectation
from lab.rounding import number

__all__ = ["latency", "throughput"]

_APART = 0.012
"""By what share of the axis two curves are moved apart along it, so that equal points both show."""


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
    answer: Callable[[Sequence[Panel], Sequence[Finding]], str]
    """What the chart found, as its title."""


_THROUGHPUT = _Quantity(
    "throughput_rps",
    "Throughput",
    "throughput (req/s)",
    (Claim.THROUGHPUT, Claim.RATIO),
    lambda expected: expected.throughput_rps,
    throughput_limit,
    "asymptotic bounds N/D and 1/Dmax",
    most_done,
)
_LATENCY = _Quantity(
    "response_time_mean_ms",
    "Mean response_time",
    "mean response_time (ms)",
    (Claim.LATENCY,),
    lambda expected: expected.response_time_ms,
    latency_limit,
    "asymptotic bounds D and N·Dmax",
    lambda panels, _: time_taken(panels),
)


@styled
def throughput(rows: pd.DataFrame, series: str = "topology") -> Chart:
    """Draw throughput against concurrency, or the requested rate of an open loop, a curve for each topology.

    `rows` are as `lab.results.read` gives them; `series` names another factor that tells curves apart.
    """
    return _curves(rows, series, _THROUGHPUT)


@styled
def latency(rows: pd.DataFrame, series: str = "topology") -> Chart:
    """Draw the mean response_time against load, a curve for each topology.

    `rows` are as `lab.results.read` gives them; `series` names another factor that tells curves apart.
    """
    return _curves(rows, series, _LATENCY)


def _curves(rows: pd.DataFrame, series: str, quantity: _Quantity) -> Chart:
    panels = panels_of(rows, series)
    look_of = looks(list(dict.fromkeys(each.name for panel in panels for each in panel.series)))
    findings = [finding for claim in quantity.claims for finding in findings_of(rows, claim)]
    figure, places = panel_axes(len(panels))
    for ax, panel in zip(places, panels, strict=True):
        _draw(ax, panel, quantity, look_of)
    label_axes(places, [panel.axis for panel in panels], quantity.label)
    log_values(places[0].yaxis, _heights(panels, quantity))
    for ax, panel in zip(places, panels, strict=True):
        for ratio in findings:
            if ratio.claim is Claim.RATIO and ratio.panel == panel.label and series == "topology":
                _draw_ratio(ax, panel, quantity, ratio)
    legend_below(figure, list(_handles(panels, quantity, look_of)), columns=2)
    return Chart(
        figure,
        quantity.answer(panels, findings),
        f"{quantity.title} by {_axes_of(panels)}, with 95 % intervals over the valid trials",
        caption(findings),
        _alternative(panels, quantity),
    )


def _draw(ax: Axes, panel: Panel, quantity: _Quantity, look_of: dict[str, Look]) -> None:
    ax.set_title(panel.label)
    log_steps(ax.xaxis, [x for series in panel.series for x in series.places])
    left, right = ax.get_xlim()
    for place, series in enumerate(panel.series):
        look, limit, expected = look_of[series.name], _limit(series, quantity), judged_at(series)
        if expected:
            draw_band(ax, quantity.band(expected), expected.concurrency, look)
        if limit:
            draw_limit(ax, limit, series.places, look)
        aside = (right / left) ** (_APART * (place - (len(panel.series) - 1) / 2))
        draw_points(ax, list(series.points(quantity.column)), look, aside)


def _draw_ratio(ax: Axes, panel: Panel, quantity: _Quantity, ratio: Finding) -> None:
    """Draw the ratio beside the right ends of the two curves, if both have one."""
    ends = [list(series.points(quantity.column))[-1] for series in panel.series]
    low, *_, high = sorted(end.interval.estimate for end in ends)
    if len(ends) == 2 and ends[0].x == ends[1].x and not math.isnan(low + high):
        draw_ratio(ax, ends[0].x, low, high, f"{ratio.figures[0]}×")


def _heights(panels: tuple[Panel, ...], quantity: _Quantity) -> Iterator[float]:
    """Yield every value that the chart must have room for."""
    for series in (series for panel in panels for series in panel.series):
        yield from series.rows[quantity.column].dropna()
        limit, expected = _limit(series, quantity), judged_at(series)
        if limit:
            yield from (limit(x) for x in series.places)
        if expected:
            yield from (quantity.band(expected).low, quantity.band(expected).high)


def _handles(panels: tuple[Panel, ...], quantity: _Quantity, look_of: dict[str, Look]) -> Iterator[Artist]:
    everything = [series for panel in panels for series in panel.series]
    for name, look in look_of.items():
        yield points_entry(name, look)
    for name, expected in {series.name: judged_at(series) for series in everything}.items():
        if expected:
            label = f"documented, {name}: {quantity.band(expected)}, judged at {expected.concurrency}"
            yield band_entry(label, look_of[name])
    if any(_limit(series, quantity) for series in everything):
        yield limit_entry(quantity.limits)
    if any(point.invalid for series in everything for point in series.points(quantity.column)):
        yield invalid_entry()


def _limit(series: Series, quantity: _Quantity) -> Limit | None:
    return quantity.limit(series.factors, series.axis)


def _axes_of(panels: Sequence[Panel]) -> str:
    return " and ".join(dict.fromkeys(panel.axis for panel in panels))


def _alternative(panels: tuple[Panel, ...], quantity: _Quantity) -> str:
    """Tell all points in words."""
    told = []
    for panel in panels:
        for series in panel.series:
            points = ", ".join(_in_words(point) for point in series.points(quantity.column))
            told.append(f"{panel.label} {series.name}: {points}".strip())
    return f"Chart of {quantity.label}. {'. '.join(told)}."


def _in_words(point: Point) -> str:
    estimate = point.interval.estimate
    return f"{'no valid trial' if math.isnan(estimate) else number(estimate, 4)} at {point.x:g}"
