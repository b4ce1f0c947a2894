"""What the axes of all charts have in common: panels in a grid, round numbers, units."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lab.charts.style import is_narrow, new_figure

__all__ = [
    "AXES",
    "beside",
    "fold",
    "label_axes",
    "legend_below",
    "log_steps",
    "log_values",
    "name_powers",
    "panel_axes",
]

# The factor along an axis, with its unit.
AXES = {"concurrency": "concurrency (requests in flight)", "requested_rate": "requested_rate (req/s)"}
_COLUMNS = 3
_WIDTHS_IN = {1: 8.4, 2: 10.0, 3: 10.0}
_MARGIN = 1.35
"""How far, as a factor, an axis reaches beyond its outermost steps."""
_SIDE_PT, _LETTER_PT, _GAP_PT = 50, 6.5, 4
"""What stands beside an axis, how wide a digit is, and how far apart names are, in points."""
_MANY_DECADES = 4
"""How many decades up the side have further numbers between them."""
_LEGEND_LETTERS = 44
"""How many letters a line of a legend has on a narrow page."""
_ROOM = 1.25
"""How far, as a factor, an axis reaches beyond the least and the greatest value."""


def panel_axes(panels: int, height_in: float = 4.2) -> tuple[Figure, list[Axes]]:
    """Make a figure with one set of axes for each panel, all with one scale of values."""
    columns = _columns(panels)
    lines = math.ceil(panels / columns)
    figure = new_figure(_WIDTHS_IN[columns], height_in * (0.8 if is_narrow() else 1.0) * lines + 0.9)
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    places: list[Axes] = list(grid.flat)
    for ax in places[panels:]:
        ax.remove()
    return figure, places[:panels]


def label_axes(places: Sequence[Axes], axes: Sequence[str], y: str) -> None:
    """Label each panel with its factor below, and the leftmost panels with `y` at the side."""
    columns = _columns(len(places))
    for place, (ax, axis) in enumerate(zip(places, axes, strict=True)):
        ax.set_xlabel(AXES[axis])
        if place % columns == 0:
            ax.set_ylabel(y)


def log_steps(axis: Axis, levels: Iterable[float]) -> None:
    """Make the axis logarithmic, name the levels themselves, and leave room on both sides."""
    at = sorted(set(levels))
    axis.axes.set_xscale("log", base=2)
    axis.axes.set_xlim(at[0] / _MARGIN, at[-1] * _MARGIN)
    _name(axis, _apart(at, _width_pt(axis) / math.log(_MARGIN**2 * at[-1] / at[0])))


def log_values(axis: Axis, values: Iterable[float]) -> None:
    """Make the axis logarithmic with round numbers, and give these values room."""
    known = [value for value in values if value > 0]
    low, high = min(known, default=1.0) / _ROOM, max(known, default=1.0) * _ROOM
    axis.axes.set_yscale("log")
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(decades) <= _MANY_DECADES else (1,)
    round_numbers = [digit * 10.0**decade for decade in decades for digit in digits]
    _name(axis, [number for number in round_numbers if low <= number <= high])
    axis.axes.set_ylim(low, high)


def name_powers(axis: Axis, low: float, high: float) -> None:
    """Name round numbers along a horizontal logarithmic axis: as many as stand clear of each other."""
    pt = _width_pt(axis) / math.log(high / low)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    choices = [[digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]]
    choices += [
        [10.0**decade for decade in decades if decade % step == 0] for step in range(1, len(decades) + 1)
    ]
    for choice in choices:
        named = [number for number in choice if low <= number <= high]
        if len(named) < 2 or _apart(named, pt) == named:
            break
    _name(axis, named)


def fold(text: str, letters: int) -> str:
    """Break a text into lines of so many letters on a narrow page, and leave it as it is on a wide one."""
    return textwrap.fill(text, letters) if is_narrow() else text


def beside(panels: int, widest: int = _COLUMNS) -> int:
    """Give how many panels stand beside each other: one, on a narrow page."""
    return 1 if is_narrow() else min(panels, widest)


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """Put one legend for all panels below them, where it covers nothing."""
    for handle in handles:
        handle.set_label(fold(str(handle.get_label()), _LEGEND_LETTERS))
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=1 if is_narrow() else columns,
        handlelength=2.6,
        columnspacing=1.8,
    )


def _columns(panels: int) -> int:
    return beside(panels, 2 if panels == 4 else _COLUMNS)


def _width_pt(axis: Axis) -> float:
    """Estimate how wide the axis will be, before anything is laid out."""
    spec = axis.axes.get_subplotspec()
    columns = spec.get_gridspec().ncols if spec else 1
    figure = axis.axes.figure
    width_pt = 72 * figure.bbox.width / figure.dpi
    return (width_pt - _SIDE_PT) / columns - _SIDE_PT / 2


def _apart(levels: Sequence[float], pt: float) -> list[float]:
    """Leave out levels whose names would cover others', the ends never; `pt` is the length of a factor e."""

    def clear(low: float, high: float) -> bool:
        letters = (len(f"{low:,.10g}") + len(f"{high:,.10g}")) / 2
        return math.log(high / low) * pt > letters * _LETTER_PT + _GAP_PT

    named = [levels[0]]
    for level in levels[1:-1]:
        if clear(named[-1], level) and clear(level, levels[-1]):
            named.append(level)
    return named if len(levels) == 1 else [*named, levels[-1]]


def _name(axis: Axis, places: Sequence[float]) -> None:
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
