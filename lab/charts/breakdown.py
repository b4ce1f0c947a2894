"""Where the time of a request went: queue and work of each service, and the overhead between services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from lab.charts.axes import label_axes, legend_below, panel_axes
from lab.charts.chart import Chart, styled
from lab.charts.series import Series, panels_of
from lab.charts.style import INK, SERVICE_COLOURS
from lab.charts.titles import at_load
from lab.charts.tooltips import tell
from lab.results.counted import believed, valid
from lab.rounding import number

__all__ = ["Part", "parts_of", "where_the_time_went"]

_QUEUE_HATCH = "/////"
_OVERHEAD = "#8A8A8A"
_SERVICES = tuple((f"service{n}", colour) for n, colour in enumerate(SERVICE_COLOURS, start=1))


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a request's time: its column, its name, and how it is drawn."""

    column: str
    name: str
    colour: str
    queue: bool = False

    def patch(self) -> Patch:
        """Make the legend entry of this part."""
        return Patch(label=self.name, **self.style())

    def style(self) -> dict[str, Any]:
        """Give the style of this part's bars: work is filled, waiting is hatched."""
        if self.queue:
            return {"facecolor": "white", "edgecolor": self.colour, "hatch": _QUEUE_HATCH, "linewidth": 0.8}
        return {"facecolor": self.colour, "edgecolor": "white", "linewidth": 0.8}


_PARTS = (
    *(Part(f"{name}_queue_ms", f"{name} queue", colour, queue=True) for name, colour in _SERVICES),
    *(Part(f"{name}_work_ms", f"{name} work", colour) for name, colour in _SERVICES),
    Part("overhead_ms", "overhead: hops, clients, balancers", _OVERHEAD),
)


def parts_of(rows: pd.DataFrame) -> dict[str, float]:
    """Average each part over the valid trials that have all: ms by column, 0 where a service has none.

    Without the overhead the rest is no share of anything, so such trials are left out.
    """
    whole = valid(rows) & rows["overhead_ms"].notna()
    means = rows.loc[whole, [part.column for part in _PARTS]].astype(float).mean()
    return {str(column): 0.0 if np.isnan(mean) else max(0.0, float(mean)) for column, mean in means.items()}


@styled
def where_the_time_went(rows: pd.DataFrame, series: str = "topology") -> Chart:
    """Draw a bar for each concurrency: parts as shares of the mean service_time, which stands above in ms.

    `rows` are as `lab.results.read` gives them. Each topology, and each combination of whatever else varies,
    has a panel.
    """
    told = [(panel, each) for panel in panels_of(rows, series) for each in panel.series]
    figure, places = panel_axes(len(told), height_in=3.8)
    for ax, (panel, each) in zip(places, told, strict=True):
        _draw(ax, each)
        ax.set_title(", ".join(part for part in (each.name, panel.label) if part), pad=20)
    label_axes(places, [each.axis for _, each in told], "share of the mean service_time (%)")
    places[0].set_ylim(0, 100)
    legend_below(figure, list(_handles()), columns=3)
    sentences = [_sentence(each, panel.label) for panel, each in told]
    return Chart(
        figure,
        _answer([each for _, each in told]),
        "Parts of the mean service_time, whose length in ms stands above each bar",
        "\n".join(f"- {each}" for each in sentences),
        " ".join(sentences),
    )


def _draw(ax: Axes, series: Series) -> None:
    places = series.places
    ax.grid(visible=False, axis="x")
    ax.set_xticks(range(len(places)), [f"{place:g}" for place in places])
    ax.set_xlim(-0.6, len(places) - 0.4)
    for position, place in enumerate(places):
        _bar(ax, position, f"{series.name}, {series.axis} {place:g}", series.at(place))


def _lacking(rows: pd.DataFrame) -> str:
    """Say what is missing where no time can be shared out."""
    return "no valid trial says it" if valid(rows).any() else "no valid trial"


def _bar(ax: Axes, position: int, where: str, rows: pd.DataFrame) -> None:
    parts, lacking, trials = parts_of(rows), _lacking(rows), f"{believed(rows)} trials valid"
    total = sum(parts.values())
    if not total:
        ax.text(position, 50, lacking, ha="center", va="center", rotation=90, fontsize=8)
        return
    bottom = 0.0
    for part in _PARTS:
        share = 100 * parts[part.column] / total
        (bar,) = ax.bar(position, share, width=0.72, bottom=bottom, **part.style())
        tell(
            bar,
            f"{where}\n{part.name}: {number(parts[part.column])} of {total:,.0f} ms, {share:.0f} %\n{trials}",
        )
        bottom += share
    ax.text(position, 101.5, f"{total:,.0f}", ha="center", va="bottom", fontsize=8.5, color=INK)


def _handles() -> Iterator[Artist]:
    """Yield legend entries column by column: the queues, the work, and the rest."""
    for part in _PARTS:
        yield part.patch()


def _sentence(series: Series, label: str) -> str:
    """Say how the time is shared at the highest place on the axis."""
    place = series.places[-1]
    parts = parts_of(series.at(place))
    total = sum(parts.values())
    where = ", ".join(
        part for part in (f"{series.name.capitalize()} at {series.axis} {place:g}", label) if part
    )
    if not total:
        return f"{where}: no valid trial says where the time went."
    queue = _share(sum(parts[part.column] for part in _PARTS if part.queue), total)
    overhead = _share(parts["overhead_ms"], total)
    return f"{where}: of {total:,.0f} ms, {queue} waited for slots, {overhead} overhead, the rest work."


def _answer(told: Sequence[Series]) -> str:
    """Name what takes most of the time of the last series at its highest load, and of the first one's."""
    said = list(filter(None, map(_most, told if len(told) < 3 else (told[0], told[-1]))))
    text = "; ".join(said) or "no valid trial says where the time went"
    return text[0].upper() + text[1:]


def _most(series: Series) -> str:
    place = series.places[-1]
    parts = parts_of(series.at(place))
    total = sum(parts.values())
    if not total:
        return ""
    shares = {
        "waiting for slots": sum(parts[part.column] for part in _PARTS if part.queue),
        "overhead between services": parts["overhead_ms"],
    }
    shares["work"] = total - sum(shares.values())
    largest = max(shares, key=shares.__getitem__)
    return f"{series.name} at {at_load(series.axis, place)}: {_share(shares[largest], total)} is {largest}"


def _share(part: float, total: float) -> str:
    return f"{100 * part / total:.0f} %"
