"""Dot plots: a line for each thing compared, a panel for each quantity, a mark for each series."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lab.charts.axes import beside, legend_below, name_powers
from lab.charts.style import FAINT, GREY, INK, Look, looks, new_figure
from lab.charts.tooltips import cell_tip, tell, trial_tips
from lab.measure.statistics import Interval, log_interval
from lab.results.counted import counted, uncounted, valid
from lab.results.frame import require_cells_apart, require_columns
from lab.rounding import number

__all__ = [
    "LATENCY",
    "SERVERS_CPU",
    "THROUGHPUT",
    "Lines",
    "Quantity",
    "figure_text",
    "interval_of",
    "line_chart",
    "require_rows",
    "values_of",
]

Lines = Mapping[str, Mapping[str, pd.DataFrame]]
"""By line, then by series: its rows, one a trial."""
_APART = 0.3
"""The distance between the series of one line, where a line has the height 1."""
_LETTERS, _ENTRIES = 18, 4
"""How many letters a line of a name has, and how many entries a line of the legend."""
_FAR = 2.5
"""An interval that ends farther beyond all trials than by this factor is cut off: it says little."""
_WIDE = 8.0
"""The ratio of the largest to the smallest value from which an axis is logarithmic; below, it begins at 0."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity along a panel: its label with the unit, and how to read it from rows, one value a row."""

    label: str
    of: Callable[[pd.DataFrame], pd.Series[float]]


THROUGHPUT = Quantity("throughput (req/s)", lambda rows: rows["throughput_rps"])
LATENCY = Quantity("mean response_time (ms)", lambda rows: rows["response_time_mean_ms"])
SERVERS_CPU = Quantity(
    "CPU of all servers a request (ms)",
    lambda rows: (
        1e3 * (rows["servers_cpu_cores"] + rows["balancers_cpu_cores"].fillna(0)) / rows["throughput_rps"]
    ),
)


def require_rows(rows: pd.DataFrame, *factors: str) -> None:
    """Raise SchemaMismatch if the rows' file lacks a factor, a figure, or what told cells apart."""
    figures = ("throughput_rps", "response_time_mean_ms", "servers_cpu_cores", "balancers_cpu_cores")
    require_columns(rows, *factors, *figures)
    require_cells_apart(rows)


def values_of(rows: pd.DataFrame, quantity: Quantity) -> list[float]:
    """Read the quantity from each row that counts for it."""
    return counted(rows, quantity.of(rows))


def interval_of(rows: pd.DataFrame, quantity: Quantity) -> Interval:
    """Estimate the quantity over the valid rows, with its 95 % interval."""
    return log_interval(values_of(rows, quantity))


def figure_text(value: float) -> str:
    """Write a value with two significant digits or more, as beside a mark; nothing for NaN."""
    return "" if math.isnan(value) else number(value, 2)


def line_chart(lines: Lines, quantities: Sequence[Quantity]) -> Figure:
    """Draw a panel for each quantity, side by side, all with the same lines."""
    names = list(dict.fromkeys(series for groups in lines.values() for series in groups))
    look_of = looks(names)
    columns = beside(len(quantities))
    rows = math.ceil(len(quantities) / columns)
    figure = new_figure(10.0, 1.0 + (0.9 + 0.42 * max(1.0, 0.75 * len(names)) * len(lines)) * rows)
    places = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for ax in places[len(quantities) :]:
        ax.remove()
    for ax, quantity in zip(places, quantities, strict=False):
        _panel(ax, lines, quantity, look_of)
    places[0].set_yticks(range(len(lines)), [textwrap.fill(name, _LETTERS) for name in lines])
    places[0].set_ylim(len(lines) - 0.5, -0.5)
    handles = [_entry(name, look_of[name]) for name in names] if len(names) > 1 else []
    if any(not valid(rows).all() for groups in lines.values() for rows in groups.values()):
        handles.append(_entry("invalid trial", Look(GREY, "o", "none", ""), hollow=True))
    if handles:
        legend_below(figure, handles, columns=min(len(handles), _ENTRIES))
    return figure


def _panel(ax: Axes, lines: Lines, quantity: Quantity, look_of: Mapping[str, Look]) -> None:
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(quantity.label)
    rows_of = [rows for groups in lines.values() for rows in groups.values()]
    everything = [v for rows in rows_of for v in (*values_of(rows, quantity), *_hollow(rows, quantity))]
    ends = [interval_of(rows, quantity) for rows in rows_of]
    middle = (len(look_of) - 1) / 2
    for height, (line, groups) in enumerate(lines.items()):
        ax.axhline(height, color=FAINT, linewidth=0.8, zorder=0)
        for place, (name, look) in enumerate(look_of.items()):
            if name in groups:
                aside = min(_APART, 0.8 / len(look_of)) * (place - middle)
                said = f"{line}, {name}" if len(look_of) > 1 else line
                _mark(ax, groups[name], quantity, look, height + aside, said, label_below=aside > 0)
    _scale(ax, everything, [end for each in ends if each.known for end in (each.low, each.high)])


def _scale(ax: Axes, values: Sequence[float], ends: Sequence[float]) -> None:
    """Make room for all trials, and for the ends of intervals unless they are far out."""
    low, high = min(values, default=1.0), max(values, default=1.0)
    low, high = (
        min([low, *(e for e in ends if e > low / _FAR)]),
        max([high, *(e for e in ends if e < high * _FAR)]),
    )
    if high < _WIDE * low:
        ax.set_xlim(0, high * 1.15)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
        return
    ax.set_xscale("log")
    ax.set_xlim(low / 1.6, high * 1.6)
    name_powers(ax.xaxis, low / 1.6, high * 1.6)


def _mark(
    ax: Axes,
    rows: pd.DataFrame,
    quantity: Quantity,
    look: Look,
    height: float,
    name: str,
    *,
    label_below: bool,
) -> None:
    said = (name, quantity.label.replace("\n", " "), rows, quantity.of(rows))
    tips = dict(zip(uncounted(rows, quantity.of(rows)), trial_tips(*said), strict=False))
    for value in _hollow(rows, quantity):
        (hollow,) = ax.plot(
            value,
            height,
            marker=look.marker,
            color=look.colour,
            markerfacecolor="white",
            markersize=6,
            zorder=3,
        )
        tell(hollow, tips[value])
    interval = interval_of(rows, quantity)
    if math.isnan(interval.estimate):
        return
    if interval.known:
        ax.plot([interval.low, interval.high], [height, height], color=look.colour, linewidth=1.8, zorder=4)
    style = {"markeredgecolor": "white", "markeredgewidth": 0.8, "markersize": 8}
    (mark,) = ax.plot(interval.estimate, height, marker=look.marker, color=look.colour, zorder=5, **style)  # type: ignore[arg-type]
    tell(mark, cell_tip(*said))
    ax.annotate(
        figure_text(interval.estimate),
        xy=(interval.estimate, height),
        xytext=(0, -6 if label_below else 6),
        textcoords="offset points",
        ha="center",
        va="top" if label_below else "bottom",
        fontsize=8,
        color=INK,
        zorder=6,
    )


def _hollow(rows: pd.DataFrame, quantity: Quantity) -> list[float]:
    """Read the quantity from invalid rows, but for what has no place on a logarithmic axis."""
    return [value for value in uncounted(rows, quantity.of(rows)) if 0 < value < math.inf]


def _entry(name: str, look: Look, *, hollow: bool = False) -> Line2D:
    face = "white" if hollow else look.colour
    return Line2D(
        [], [], linestyle="none", color=look.colour, marker=look.marker, markerfacecolor=face, label=name
    )
