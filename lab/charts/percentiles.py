"""Percentiles of the response_time as the arrival rate grows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from lab.charts.axes import label_axes, legend_below, log_steps, log_values, panel_axes
from lab.charts.chart import Chart, styled
from lab.charts.marks import DASHED, draw_points, invalid_entry, limit_entry, points_entry
from lab.charts.series import Series, panels_of
from lab.charts.style import GREY, look
from lab.rounding import number, trimmed

if TYPE_CHECKING:
    from lab.saturation import Saturation

__all__ = ["percentiles"]

_COLUMNS = {f"p{name}": f"response_time_p{name}_ms" for name in ("50", "95", "99")}


@styled
def percentiles(rows: pd.DataFrame, saturation: Saturation | None = None) -> Chart:
    """Draw percentiles of one service's response_time by rate, and the highest rate that keeps the goal.

    `rows` are as `lab.results.read` gives them. A percentile that no trial had enough answers for is left
    out.
    """
    (panel, *_) = panels_of(rows)
    (series, *_) = panel.series
    figure, (ax,) = panel_axes(1)
    log_steps(ax.xaxis, series.places)
    handles = []
    for place, (name, column) in enumerate(_COLUMNS.items()):
        draw_points(ax, list(series.points(column)), look(place))
        handles.append(points_entry(name, look(place)))
    if any(point.invalid for point in series.points(_COLUMNS["p50"])):
        handles.append(invalid_entry())
    if saturation and saturation.highest_kept:
        ax.axvline(saturation.highest_kept, color=GREY, zorder=1, **DASHED)
        label = f"{trimmed(number(saturation.highest_kept))} req/s, the highest rate that keeps the goal"
        handles.append(limit_entry(label))
    label_axes([ax], [panel.axis], "response_time (ms)")
    values = rows[list(_COLUMNS.values())].to_numpy(dtype=float, na_value=math.nan)
    log_values(ax.yaxis, [float(value) for value in values.ravel() if value > 0])
    legend_below(figure, handles, columns=2)
    sentences = [_sentence(series, x) for x in series.places]
    return Chart(
        figure,
        _answer(saturation, sentences[-1]),
        f"Percentiles of the response_time by {panel.axis}, with 95 % intervals",
        sentences[-1],
        " ".join(sentences),
    )


def _answer(saturation: Saturation | None, otherwise: str) -> str:
    if saturation is None or not saturation.highest_kept:
        return otherwise.rstrip(".")
    return f"The service keeps the goal up to {trimmed(number(saturation.highest_kept))} req/s"


def _sentence(series: Series, x: float) -> str:
    """Say the percentiles at that rate."""
    told = {
        name: next(p.interval.estimate for p in series.points(column) if p.x == x)
        for name, column in _COLUMNS.items()
    }
    known = [f"{name} {number(value)} ms" for name, value in told.items() if not math.isnan(value)]
    return f"At {x:g} req/s: {', '.join(known) or 'no valid trial'}."
