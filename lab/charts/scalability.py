"""How throughput grows with concurrency: the knee of each curve, and the law that fits it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lab.charts.axes import label_axes, legend_below, log_steps, log_values, panel_axes
from lab.charts.chart import Chart
from lab.charts.growth import COLUMN, HEADER, Growth, growth_of
from lab.charts.marks import draw_points, invalid_entry, points_entry
from lab.charts.series import panels_of, positive, valid
from lab.charts.style import INK, Look, looks, styled
from lab.charts.tables import Table

__all__ = ["scalability", "scalability_table"]

_LAW = "Universal Scalability Law X(N) = λN / (1 + σ(N − 1) + κN(N − 1))"
_CAPTION = (
    "Ringed: the knee, the measured concurrency at which throughput / response_time is greatest. "
    f"Lines and bands: the {_LAW} and its 95 % interval."
)
_RING: Any = {"markersize": 14, "markerfacecolor": "none", "linestyle": "none"}
_APART = 1.05
"""The factor by which points of two curves are moved apart along the axis, so that equal ones both show."""


@styled
def scalability(rows: pd.DataFrame, series: str = "topology") -> Chart:
    """Throughput against concurrency in a closed loop, its knee, and the Universal Scalability Law fitted.

    `rows` as `lab.results.read` gives them. Where the trials cannot bear a fit, the points stand alone. Below
    the picture stands `scalability_table`.
    """
    panels = panels_of(rows, series)
    look_of = looks(list(dict.fromkeys(each.name for panel in panels for each in panel.series)))
    figure, places = panel_axes(len(panels))
    figure.suptitle("Throughput by concurrency: knee and law", x=0.01, ha="left")
    curves = []
    for ax, panel in zip(places, panels, strict=True):
        ax.set_title(panel.label)
        log_steps(ax.xaxis, [x for each in panel.series for x in each.places])
        for place, each in enumerate(panel.series):
            curves.append(growth_of(panel, each))
            _draw(ax, curves[-1], look_of[each.name], _APART ** (place - (len(panel.series) - 1) / 2))
    label_axes(places, [panel.axis for panel in panels], "throughput (req/s)")
    log_values(places[0].yaxis, [x for curve in curves for x in positive(curve.series.rows, COLUMN)])
    legend_below(figure, list(_handles(curves, look_of)), columns=3)
    table = _table(curves)
    return Chart(figure, f"{_CAPTION}\n\n{table}", " ".join(_in_words(line) for line in table.rows))


def scalability_table(rows: pd.DataFrame, series: str = "topology") -> Table:
    """A line a curve: its knee, the law's parameters and peak with their 95 % intervals, and how it fits."""
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
