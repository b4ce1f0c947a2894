"""How long requests take, from the half of them to the slowest, as the rate of their arrivals grows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lab.charts.axes import label_axes, legend_below, log_steps, log_values, panel_axes
from lab.charts.chart import Chart
from lab.charts.series import Series, panels_of
from lab.charts.style import INK, Look, look, styled
from lab.saturation import Saturation

__all__ = ["percentiles"]

_COLUMNS = {f"p{name}": f"response_time_p{name}_ms" for name in ("50", "95", "99")}
_DASHES = (0, (4, 2.5))


@styled
def percentiles(rows: pd.DataFrame, saturation: Saturation | None = None) -> Chart:
    """Percentiles of the response_time of one service at several rates, and the rate that it bears.

    `rows` as `lab.results.read` gives them. A percentile that no trial had enough answers for is left out.
    """
    (panel, *_) = panels_of(rows)
    (series, *_) = panel.series
    figure, (ax,) = panel_axes(1)
    figure.suptitle("response_time under load", x=0.01, ha="left")
    log_steps(ax.xaxis, series.places)
    handles = [_curve(ax, series, name, look(place)) for place, name in enumerate(_COLUMNS)]
    if saturation and saturation.highest_kept:
        ax.axvline(saturation.highest_kept, color=INK, linestyle=_DASHES, linewidth=1.2, zorder=1)
        label = f"{saturation.highest_kept:.3g} req/s, the highest rate that keeps the goal"
        handles.append(Line2D([], [], color=INK, linestyle=_DASHES, linewidth=1.2, label=label))
    label_axes([ax], [panel.axis], "response_time (ms)")
    values = rows[list(_COLUMNS.values())].to_numpy(dtype=float, na_value=math.nan)
    log_values(ax.yaxis, [float(value) for value in values.ravel() if value > 0])
    legend_below(figure, handles, columns=2)
    sentences = [_sentence(series, x) for x in series.places]
    return Chart(figure, sentences[-1], " ".join(sentences))


def _curve(ax: Axes, series: Series, name: str, look: Look) -> Line2D:
    points = [p for p in series.points(_COLUMNS[name]) if not math.isnan(p.interval.estimate)]
    estimates = np.array([point.interval.estimate for point in points])
    ends = np.array([[point.interval.low, point.interval.high] for point in points]).reshape(-1, 2)
    ax.errorbar(
        [point.x for point in points],
        estimates,
        yerr=np.nan_to_num(np.abs(ends.T - estimates)),
        color=look.colour,
        marker=look.marker,
        markersize=7,
        markeredgecolor="white",
        linewidth=1.8,
        capsize=4,
        zorder=4,
    )
    return Line2D([], [], color=look.colour, marker=look.marker, linewidth=1.8, label=name)


def _sentence(series: Series, x: float) -> str:
    """What half and 95 % of all requests got at that rate."""
    told = {
        name: next(p.interval.estimate for p in series.points(column) if p.x == x)
        for name, column in _COLUMNS.items()
    }
    known = [f"{name} {value:.3g} ms" for name, value in told.items() if not math.isnan(value)]
    return f"At {x:g} req/s: {', '.join(known) or 'no valid trial'}."
