"""Two results compared: the ratio of every cell, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from lab.charts.answer import outcome
from lab.charts.axes import fold, legend_below
from lab.charts.chart import Chart, styled
from lab.charts.style import GREY, INK, SOFT, is_narrow, new_figure
from lab.charts.tooltips import tell
from lab.compare import CellComparison, Change, Comparison
from lab.rounding import interval_text

__all__ = ["comparison"]

_MARKS: Mapping[Change, Mapping[str, Any]] = {
    Change.BETTER: {"color": "#0072B2", "marker": "^"},
    Change.WORSE: {"color": "#D55E00", "marker": "v"},
    Change.NOTHING_SUCCEEDED: {"color": "#D55E00", "marker": "X"},
    Change.FAILS_MORE: {"color": "#D55E00", "marker": "P"},
    Change.NO_DIFFERENCE_SHOWN: {"color": GREY, "marker": "o"},
    Change.TOO_FEW_TRIALS: {"color": GREY, "marker": "D", "markerfacecolor": "white"},
}
_NARROW_LETTERS = 22
"""How many letters a line of a cell's name has on a narrow page."""
_MARK: Mapping[str, Any] = {"linestyle": "none", "markersize": 8, "zorder": 4}


@styled
def comparison(compared: Comparison) -> Chart:
    """Draw B over A for each cell: estimate, the interval that decides and finding, beside the threshold.

    A cell without a ratio has its finding at the left edge.
    """
    cells = compared.cells
    figure = new_figure(9.0, 1.9 + (0.5 if is_narrow() else 0.34) * len(cells))
    ax = figure.subplots()
    edge = 1 + compared.threshold
    ax.axvspan(1 / edge, edge, color=SOFT, linewidth=0, zorder=0)
    ax.axvline(1, color=INK, linewidth=0.9, zorder=1)
    if not math.isnan(compared.geometric_mean):
        ax.axvline(compared.geometric_mean, color=GREY, linewidth=1.1, linestyle=(0, (4, 2.5)), zorder=1)
    for height, cell in enumerate(cells):
        _cell(ax, height, cell)
    _axes(ax, compared)
    legend_below(figure, _handles(compared), columns=3)
    said = compared.sentences()
    return Chart(
        figure,
        outcome(compared).text.split("**")[1].rstrip("."),
        f"{compared.metric} of each cell, B over A, with the intervals that decide",
        "\n".join(f"- {sentence}" for sentence in said),
        " ".join(said),
    )


def _cell(ax: Axes, height: int, cell: CellComparison) -> None:
    ratio = cell.ratio
    if math.isnan(ratio.estimate):
        edge: Any = {"transform": ax.get_yaxis_transform(), "clip_on": False}
        (mark,) = ax.plot(0, height, **edge, **_MARK, **_MARKS[cell.finding])
        tell(mark, f"{cell.label}\n{cell.finding}")
        return
    if ratio.known:
        ax.plot([ratio.low, ratio.high], [height, height], color=_MARKS[cell.finding]["color"], linewidth=1.8)
    (mark,) = ax.plot(ratio.estimate, height, **_MARK, **_MARKS[cell.finding])
    figures = interval_text(ratio.estimate, ratio.low, ratio.high)
    tell(mark, f"{cell.label}\nB / A: {figures}\n{cell.finding}")


def _axes(ax: Axes, compared: Comparison) -> None:
    edge = 1 + compared.threshold
    estimates = [max(c.ratio.estimate, 1 / c.ratio.estimate) for c in compared.cells if c.ratio.estimate > 0]
    ends = [max(c.ratio.high, 1 / c.ratio.low) for c in compared.cells if c.ratio.known]
    # An interval from two unlike trials may span any number of decades: it runs off the chart.
    widest = 3 * max(estimates, default=edge)
    reach = max([edge**1.5, *(min(end, widest) * 1.02 for end in (*estimates, *ends))])
    ax.set_xscale("log")
    ax.set_xlim(1 / reach, reach)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 2.5, 5, 10]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel(fold("ratio B / A (1: equal; grey: within the threshold)", 30))
    ax.set_yticks(range(len(compared.cells)), [_label(cell) for cell in compared.cells])
    ax.set_ylim(len(compared.cells) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")


def _label(cell: CellComparison) -> str:
    return fold(cell.label, _NARROW_LETTERS)


def _handles(compared: Comparison) -> list[Line2D]:
    found = [finding for finding in Change if any(cell.finding is finding for cell in compared.cells)]
    handles = [Line2D([], [], linestyle="none", markersize=8, label=str(f), **_MARKS[f]) for f in found]
    if math.isnan(compared.geometric_mean):
        return handles
    mean = f"geometric mean {compared.geometric_mean:.3f}"
    return [*handles, Line2D([], [], color=GREY, linewidth=1.1, linestyle=(0, (4, 2.5)), label=mean)]
