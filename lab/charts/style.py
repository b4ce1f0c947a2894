"""A chart, and how all charts look: colours that the colour-blind tell apart, marks that need no colour."""

from __future__ import annotations

import io
from collections.abc import Callable, Sized
from dataclasses import dataclass
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = ["GREY", "INK", "SERVICE_COLOURS", "Chart", "Look", "look", "looks", "new_figure", "styled"]

INK = "#222222"
GREY = "#767676"

# Okabe and Ito, Color Universal Design, 2008. The markers, lines and hatches say the same in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES: tuple[Any, ...] = ("-", "-", "-", "-", (0, (6, 1)), (0, (6, 1)), (0, (6, 1)))
_FIXED = {"sequential": 0, "parallel": 1}
_HATCHES = ("////", "\\\\\\\\", "....", "xxxx", "----", "||||", "oooo")
# Dark and light in turn, so that neighbours stay apart in a grey print.
SERVICE_COLOURS = ("#0072B2", "#56B4E9", "#D55E00", "#E69F00")

_RC: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "normal",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.7,
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

Arguments = ParamSpec("Arguments")


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


def styled(draw: Callable[Arguments, Chart]) -> Callable[Arguments, Chart]:
    """Draw in the lab's style, and leave the user's own settings of matplotlib as they were.

    Where there is nothing to draw, neither a row nor a run, the chart says so.
    """

    @wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Chart:
        given = arguments or tuple(named.values())
        with rc_context(_RC):
            if not given or (isinstance(given[0], Sized) and not len(given[0])):
                return _nothing()
            return draw(*arguments, **named)

    return drawn


def _nothing() -> Chart:
    """Draw words alone."""
    figure, said = new_figure(8.4, 1.2), "Nothing was measured: there is nothing to draw."
    figure.text(0.01, 0.5, said, va="center")
    return Chart(figure, said, said)


def new_figure(width_in: float, height_in: float) -> Figure:
    """Make an empty figure, without a window system and without a place in pyplot's global list."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its caption in Markdown. A notebook shows both, the caption below the picture."""

    figure: Figure
    caption: str
    alternative: str
    """What the picture shows, in words, for those who do not see it."""

    def save(self, path: Path | str) -> Path:
        """Write the figure, in the format that the suffix names, and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.figure.savefig(path, facecolor="white")
        return path

    def png(self) -> bytes:
        """Render the figure as PNG, at twice the usual resolution for sharp screens."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", facecolor="white")
        return buffer.getvalue()

    def image(self) -> Any:
        """Return the picture alone, as IPython displays it."""
        from IPython.display import Image  # only a notebook has it, and only there it is wanted

        width_px = round(self.figure.get_size_inches()[0] * 100)
        return Image(self.png(), width=width_px, alt=self.alternative)  # type: ignore[no-untyped-call]

    def _ipython_display_(self) -> None:
        from IPython.display import Markdown, display

        for each in (self.image(), Markdown(self.caption)):  # type: ignore[no-untyped-call]
            display(each)  # type: ignore[no-untyped-call]
