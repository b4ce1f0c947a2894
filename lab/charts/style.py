"""How all charts look: colours for both themes and the colour-blind, marks that need no colour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = [
    "FAINT",
    "GREY",
    "INK",
    "RC",
    "SERVICE_COLOURS",
    "SOFT",
    "Look",
    "is_narrow",
    "look",
    "looks",
    "narrow_figures",
    "new_figure",
]

INK = "#222222"
"""Text and axes; the colour of the page's own text where a chart is part of a page."""
GREY = "#767676"
"""Lines and marks that belong to no series."""
FAINT = "#E4E4E4"
"""Grid lines: seen where they are looked for."""
SOFT = "#EFEFEF"
"""Stripes behind marks."""

# After Okabe and Ito, Color Universal Design, 2008; the light ones darker, so that every colour has a
# contrast of 3 : 1 and more both with white and with the pages of dark themes (WCAG 2.2, 1.4.11). The
# markers, lines and hatches say the same in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#C26A9B", "#AA7A00", "#3A97D4", INK)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES: tuple[Any, ...] = ("-", "-", "-", "-", (0, (6, 1)), (0, (6, 1)), (0, (6, 1)))
_FIXED = {"sequential": 0, "parallel": 1}
_HATCHES = ("////", "\\\\\\\\", "....", "xxxx", "----", "||||", "oooo")
# Dark and light in turn, as far as both themes allow: a line of the page's colour parts neighbours.
SERVICE_COLOURS = ("#0072B2", "#3A97D4", "#C65300", "#B8860B")

WIDEST_IN = 10.0
"""The width of the widest chart: 1,000 px of a page, where its text has the size of the page's."""
NARROW_IN = 4.2
"""The width of every chart on a narrow page: 420 px."""

RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "normal",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.9,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.hashsalt": "pipeline-lab",
}
"""The settings of matplotlib that every chart is drawn with."""

_narrow: ContextVar[bool] = ContextVar("narrow figures", default=False)


@dataclass(frozen=True, slots=True)
class Look:
    """How one series is drawn."""

    colour: str
    marker: str
    line: Any
    hatch: str


def look(position: int) -> Look:
    """Give the look of the series at this position; from the eighth on looks repeat."""
    at = position % len(_COLOURS)
    return Look(_COLOURS[at], _MARKERS[at], _LINES[at], _HATCHES[at])


def looks(names: list[str]) -> dict[str, Look]:
    """Give each series its look, by name; the documented topologies have the same look on every chart."""
    fixed = {name: place for name, place in _FIXED.items() if name in names}
    free = (place for place in count() if place not in fixed.values())
    return {name: look(fixed[name] if name in fixed else next(free)) for name in names}


@contextmanager
def narrow_figures() -> Iterator[None]:
    """Make every new figure as narrow as a small page, with panels below each other: a context manager."""
    before = _narrow.set(True)
    try:
        yield
    finally:
        _narrow.reset(before)


def is_narrow() -> bool:
    """Return whether figures are made for a narrow page."""
    return _narrow.get()


def new_figure(width_in: float, height_in: float) -> Figure:
    """Make an empty figure, without a window system and without a place in pyplot's global list.

    No figure is wider than a page; where `is_narrow`, all have the width of a narrow one.
    """
    width_in = NARROW_IN if is_narrow() else min(width_in, WIDEST_IN)
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
