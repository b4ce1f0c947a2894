"""What a machine's cores allow of the claim that four times the instances do three to four times the work."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer

from lab.charts.answer import Answer
from lab.charts.axes import legend_below, log_steps
from lab.charts.chart import Chart, styled
from lab.charts.marks import DASHED
from lab.charts.style import GREY, Look, look, new_figure
from lab.charts.tooltips import tell
from lab.expectations import RATIO, Verdict, judge
from lab.measure.factors import topology_of
from lab.measure.statistics import Interval, ratio_interval
from lab.names import TopologyName
from lab.results.counted import believed, counted, trials_told
from lab.results.frame import require_cells_apart, require_columns
from lab.rounding import interval_text, number, trimmed
from lab.theory.bounds import scaling_bound
from services.names import WorkKind

__all__ = ["core_answer", "cores"]

_MOST_CORES = 32
_APART = 1.06
"""By what factor measured points are moved apart along the axis, so that all show."""


@styled
def cores(rows: pd.DataFrame, usable: float) -> Chart:
    """Draw parallel over sequential throughput at the `usable` cores of this machine, and the bound by cores.

    `rows` are as `lab.results.read` gives them, driven at saturation, with servers in processes.
    """
    figure = new_figure(8.4, 5.1)
    ax = figure.subplots()
    along = np.geomspace(1, _MOST_CORES, 200)
    handles: list[Any] = []
    groups = _by_work(rows)
    for place, (name, group) in enumerate(groups.items()):
        beside = usable * _APART ** (place - (len(groups) - 1) / 2)
        bounds = [_bound(group, c) for c in along]
        ax.plot(along, bounds, color=look(place).colour, zorder=2, **DASHED)
        handles.append(_measured(ax, name, beside, _ratio(group), look(place)))
        tip = f"{name}\nmeasured: {_ratio_text(_ratio(group))}\n{believed(group)} trials valid"
        tell(handles[-1].lines[0], tip)
    band = ax.axhspan(
        RATIO.low, RATIO.high, color=GREY, alpha=0.15, linewidth=0, label=f"documented: {RATIO}"
    )
    (dashed,) = ax.plot([], [], color=GREY, label="bound: cores share the work", **DASHED)
    log_steps(ax.xaxis, [1, 2, 4, 8, 16, 32])
    ax.set_ylim(0, 4.4)
    ax.set_xlabel("cores")
    ax.set_ylabel("parallel over sequential")
    legend_below(figure, [*handles, dashed, band], columns=2)
    sentences = list(_sentences(rows, usable))
    return Chart(
        figure,
        _opening(groups, usable, str(RATIO)) or f"Whether {usable:g} cores carry {RATIO} is undecided",
        f"Parallel over sequential throughput with {usable:g} cores, each instance a process",
        "\n".join(f"- {each}" for each in sentences),
        " ".join(sentences),
    )


def core_answer(rows: pd.DataFrame, usable: float) -> Answer:
    """Say for each kind of work whether this machine's cores suffice for the claim, and by what bound."""
    groups = _by_work(rows)
    opening = _opening(groups, usable, "it")
    said = [f"**{opening}.**" if opening else "", _left_open(groups, usable)]
    return Answer("\n\n".join(filter(None, [*said, *_sentences(rows, usable), trials_told(rows)])))


def _opening(groups: Mapping[str, pd.DataFrame], usable: float, claim: str) -> str:
    """Say which work the cores carry the claim with; empty where that is undecided."""
    found = _verdicts(groups, usable)
    carried = [name for name, verdict in found.items() if verdict in (Verdict.WITHIN, Verdict.ABOVE)]
    if not found:
        return "Nothing is shown: no work has a valid trial of both topologies"
    if carried:
        return f"{usable:g} cores carry {claim} with {' and '.join(carried)}"
    if Verdict.UNDECIDED in found.values():
        return ""
    return f"No: {usable:g} cores carry {claim} with none of this work"


def _left_open(groups: Mapping[str, pd.DataFrame], usable: float) -> str:
    open_ = [name for name, each in _verdicts(groups, usable).items() if each is Verdict.UNDECIDED]
    return f"With {' and '.join(open_)} these trials leave it undecided." if open_ else ""


def _verdicts(groups: Mapping[str, pd.DataFrame], usable: float) -> dict[str, Verdict]:
    """Judge the claim for each work that has a valid trial of both topologies."""
    counting = {n: group for n, group in groups.items() if not math.isnan(_ratio(group).estimate)}
    return {name: _verdict(group, usable) for name, group in counting.items()}


def _verdict(group: pd.DataFrame, usable: float) -> Verdict:
    ratio, bound = _ratio(group), _bound(group, usable)
    return judge(ratio.low, ratio.high, RATIO, bound if bound >= RATIO.low else math.inf)


def _ratio_text(ratio: Interval) -> str:
    return f"{interval_text(ratio.estimate, ratio.low, ratio.high, RATIO.edges)}×, 95 % interval"


def _measured(ax: Axes, name: str, x: float, ratio: Interval, style: Look) -> ErrorbarContainer:
    low, high = (end if ratio.known else ratio.estimate for end in (ratio.low, ratio.high))
    return ax.errorbar(
        [x],
        [ratio.estimate],
        yerr=[[ratio.estimate - low], [high - ratio.estimate]],
        color=style.colour,
        marker=style.marker,
        markersize=8,
        markeredgecolor="white",
        linestyle="none",
        elinewidth=1.6,
        capsize=4,
        zorder=4,
        label=f"measured, {name}" if not math.isnan(ratio.estimate) else f"no valid trial, {name}",
    )


def _by_work(rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Group rows by the work of the services, work with a bound first."""
    require_columns(rows, "topology", "replicas", "work", "work_ms", "slots", "throughput_rps")
    require_cells_apart(rows)
    keys = rows["work_ms"].astype("string").fillna("")
    names = [_name(work, times) for work, times in zip(rows["work"], keys, strict=True)]
    order = sorted(set(names), key=lambda name: (name.startswith(WorkKind.TEXT), "," in name, name))
    return {name: rows[[each == name for each in names]] for name in order}


def _name(work: str, times_ms: str) -> str:
    if not times_ms:
        return f"{work} alone"
    return f"{work} work of {times_ms} ms" + ("" if "," in times_ms else " in all services")


def _ratio(group: pd.DataFrame) -> Interval:
    after, before = (
        counted(group[group["topology"] == name], "throughput_rps")
        for name in (TopologyName.PARALLEL, TopologyName.SEQUENTIAL)
    )
    return ratio_interval(after, before)


def _bound(group: pd.DataFrame, usable: float) -> float:
    both = [group[group["topology"] == t] for t in (TopologyName.SEQUENTIAL, TopologyName.PARALLEL)]
    if not all(map(len, both)):
        return math.nan
    before, after = (topology_of(_factors(rows)) for rows in both)
    return scaling_bound(before, after, usable)


def _factors(rows: pd.DataFrame) -> dict[str, object]:
    return {str(name): None if pd.isna(value) else value for name, value in rows.iloc[0].items()}


def _sentences(rows: pd.DataFrame, usable: float) -> Iterator[str]:
    for name, group in _by_work(rows).items():
        ratio, bound = _ratio(group), _bound(group, usable)
        title = f"{name[0].upper()}{name[1:]}"
        if math.isnan(ratio.estimate):
            yield f"{title}: nothing that counts was measured, {believed(group)} trials valid."
            continue
        edges = (*RATIO.edges, bound)
        told = f"{title}: measured {interval_text(ratio.estimate, ratio.low, ratio.high, edges)}×"
        if math.isnan(bound):
            yield f"{told}; nothing bounds it but what hops and balancers cost."
        else:
            most = f"of at most {trimmed(number(bound))}× with {usable:g} cores"
            yield f"{told} {most}, {ratio.estimate / bound:.0%} of it."
