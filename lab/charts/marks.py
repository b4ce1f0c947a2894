"""The marks of a chart and their legend entries: points, documented bands, limits by theory, a ratio.

A limit is what no pipeline with given factors can exceed, as a function of the place on the axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lab.charts.series import Point
from lab.charts.style import GREY, INK, Look
from lab.charts.tooltips import tell
from lab.expectations import Band
from lab.measure.factors import topology_of
from lab.names import PlacementName, TopologyName
from lab.theory.bounds import capacity, processor, stations_of, throughput_bound, total_demand
from lab.topology import Topology
from services.names import WorkKind

__all__ = [
    "DASHED",
    "Limit",
    "LimitOf",
    "band_entry",
    "draw_band",
    "draw_limit",
    "draw_points",
    "draw_ratio",
    "invalid_entry",
    "latency_limit",
    "limit_entry",
    "points_entry",
    "throughput_limit",
]

Limit = Callable[[float], float]
"""A function from a place on the axis to the limit there."""
LimitOf = Callable[[Mapping[str, Any], str], Limit | None]
"""A function from factors and an axis to the limit along it; None where theory knows none."""


def throughput_limit(factors: Mapping[str, Any], axis: str) -> Limit | None:
    """Compute the limit of throughput in requests a second.

    It is N/D and 1/Dmax in a closed loop, the rate and 1/Dmax in an open one.
    """
    topology, think_time_s = _known_topology(factors), _think_time_s(factors)
    stations = stations_of(topology) if topology else []
    if topology is None or not total_demand(stations):
        return None
    most = min(capacity(stations), _capacity_of_one_process(factors, topology))
    if axis == "requested_rate":
        return lambda rate: min(most, rate)
    return lambda in_flight: min(most, throughput_bound(stations, in_flight, think_time_s))


def latency_limit(factors: Mapping[str, Any], axis: str) -> Limit | None:
    """Compute the limit of the mean response_time in ms.

    It is D and N·Dmax − Z in a closed loop, D alone in an open one.
    """
    topology, think_time_s = _known_topology(factors), _think_time_s(factors)
    stations = stations_of(topology) if topology else []
    demand_s = total_demand(stations)
    if topology is None or not demand_s:
        return None
    if axis == "requested_rate":
        return lambda _: 1000 * demand_s
    most = min(capacity(stations), _capacity_of_one_process(factors, topology))
    return lambda in_flight: 1000 * max(demand_s, in_flight / most - think_time_s)


def _known_topology(factors: Mapping[str, Any]) -> Topology | None:
    """Build the topology that these factors stand for; None for a service that the lab did not make."""
    return topology_of(factors) if factors["topology"] in set(TopologyName) else None


def _capacity_of_one_process(factors: Mapping[str, Any], topology: Topology) -> float:
    """Compute the requests a second that one interpreter lock allows; infinite where no servers share one."""
    if factors["work"] != WorkKind.CPU or factors["placement"] != PlacementName.IN_PROCESS:
        return math.inf
    return capacity([processor(topology, cores=1)])


def _think_time_s(factors: Mapping[str, Any]) -> float:
    return float(factors["think_time_ms"] or 0) / 1000


DASHED: Any = {"linestyle": (0, (4, 2.5)), "linewidth": 1.2}
"""The style of lines that are not measured."""
_BOX = 1.22
"""How far, as a factor, the box of a documented band reaches to both sides of where it is judged."""
_FLOOR = 0.035
"""At what share of the axes' height a trial with a blank figure is drawn."""


def draw_points(ax: Axes, points: Sequence[Point], look: Look, aside: float = 1.0) -> None:
    """Draw a curve with its intervals, and hollow marks for invalid trials; `aside` moves it by a factor."""
    known = [point for point in points if not math.isnan(point.interval.estimate)]
    estimates = np.array([point.interval.estimate for point in known])
    ends = np.array([[point.interval.low, point.interval.high] for point in known]).reshape(-1, 2)
    curve = ax.errorbar(
        [point.x * aside for point in known],
        estimates,
        yerr=np.nan_to_num(np.abs(ends.T - estimates)),
        color=look.colour,
        linestyle=look.line,
        marker=look.marker,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.8,
        linewidth=1.8,
        elinewidth=1.6,
        capsize=4,
        zorder=4,
    )
    tell(curve.lines[0], *(point.tip for point in known))
    for point in points:
        for value, tip in zip(point.invalid, point.invalid_tips, strict=True):
            _draw_hollow(ax, point.x * aside, value, look, tip)


def draw_band(ax: Axes, band: Band, judged_at: float, look: Look) -> None:
    """Draw a documented band: faint all along, strong where it is judged, open above for "and more"."""
    beside = [judged_at / _BOX, judged_at * _BOX]
    ax.axhspan(band.low, band.high, color=look.colour, alpha=0.06, linewidth=0, zorder=0)
    ax.fill_between(beside, band.low, band.high, zorder=1, **_hatched(look))
    if band.and_more:
        more = 10 * band.high
        ax.fill_between(beside, band.high, more, color=look.colour, alpha=0.1, linewidth=0, zorder=1)


def draw_limit(ax: Axes, limit: Limit, places: Sequence[float], look: Look) -> None:
    """Draw a limit from the first place to the last."""
    along = np.geomspace(places[0], places[-1], 200)
    ax.plot(along, [limit(float(x)) for x in along], color=look.colour, zorder=3, **DASHED)


def draw_ratio(ax: Axes, x: float, low: float, high: float, ratio: str) -> None:
    """Draw an arrow from the lower of two points to the higher, with their ratio beside it."""
    arrow = {"arrowstyle": "<->", "color": INK, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.1}
    ax.annotate("", xy=(x * 1.13, high), xytext=(x * 1.13, low), arrowprops=arrow)
    ax.annotate(
        ratio,
        xy=(x * 1.16, math.sqrt(low * high)),
        xytext=(2, 0),
        textcoords="offset points",
        va="center",
        fontsize=9.5,
        fontweight="bold",
        annotation_clip=False,
    )


def points_entry(label: str, look: Look) -> Line2D:
    """Make the legend entry of a curve."""
    line, marker = look.line, look.marker
    return Line2D([], [], color=look.colour, linestyle=line, marker=marker, linewidth=1.8, label=label)


def band_entry(label: str, look: Look) -> Patch:
    """Make the legend entry of a documented band."""
    return Patch(label=label, **_hatched(look))


def limit_entry(label: str) -> Line2D:
    """Make the one legend entry for the limits of all curves."""
    return Line2D([], [], color=GREY, label=label, **DASHED)


def invalid_entry() -> Line2D:
    """Make the legend entry of invalid trials."""
    hollow: Any = {"marker": "o", "markerfacecolor": "white", "linestyle": "none"}
    return Line2D([], [], color=GREY, label="invalid trial", **hollow)


def _hatched(look: Look) -> Any:
    return {"facecolor": "none", "edgecolor": look.colour, "hatch": look.hatch, "linewidth": 0}


def _draw_hollow(ax: Axes, x: float, value: float, look: Look, tip: str) -> None:
    blank = not value > 0
    (mark,) = ax.plot(
        x,
        _FLOOR if blank else value,
        marker=look.marker,
        color=look.colour,
        markerfacecolor="white",
        markersize=7,
        clip_on=False,
        zorder=5,
        transform=ax.get_xaxis_transform() if blank else ax.transData,
    )
    tell(mark, tip)
