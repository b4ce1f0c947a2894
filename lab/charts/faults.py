"""A run under faults over time: every request and its outcome, the faults, and the ejections."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from lab.charts.answer import Answer
from lab.charts.axes import fold, legend_below, log_values
from lab.charts.chart import Chart, styled
from lab.charts.instance_death import doubt, request_tip
from lab.charts.style import INK, look, new_figure
from lab.charts.tables import Table
from lab.charts.titles import counted_in_words
from lab.charts.tooltips import tell
from services.balancer.events import EventKind

if TYPE_CHECKING:
    from lab.faults import FaultRun, Incident

__all__ = ["fault_answer", "fault_counts", "fault_incidents", "under_faults"]

_WELL = look(0)
_FAULT_COLOUR = "#D55E00"
_EJECTED_HATCH = "////"
_LETTERS = 36
"""How many letters a line of a run's name has on a narrow page."""
_ALL_WELL = "http_200"


@styled
def under_faults(*runs: FaultRun) -> Chart:
    """Draw each run: its requests at their intended starts, requests a second by outcome, and faulty servers.

    Each server at fault has a lane that shows its faults and ejections. All runs have the same scales.
    """
    targets = list(dict.fromkeys(i.fault.target for run in runs for i in run.incidents))
    lanes_in = 0.35 * len(targets) + 0.5
    figure = new_figure(10.0, (5.6 + lanes_in) * len(runs) + 0.6)
    parts = figure.subfigures(len(runs), 1, squeeze=False)[:, 0]
    times_ms = [1000 * request.response_time_s for run in runs for request in run.requests]
    failures = list(dict.fromkeys(name for run in runs for name in _failures(run)))
    for part, run in zip(parts, runs, strict=True):
        invalid = f" (invalid: {doubt(run)})" if doubt(run) else ""
        where = f"{run.topology} behind {run.balancer}, {run.rate:g} req/s, while servers fail{invalid}"
        part.suptitle(fold(where, _LETTERS), x=0.01, ha="left")
        above, middle, below = part.subplots(3, 1, sharex=True, height_ratios=[3.4, 1.6, lanes_in])
        for incident, ax in product(run.incidents, (above, middle)):
            end = _visible_end(incident)
            ax.axvspan(incident.began_s, end, color=_FAULT_COLOUR, alpha=0.1, linewidth=0)
        _responses(above, run, failures)
        log_values(above.yaxis, times_ms)
        _rates(middle, run, failures)
        _lanes(below, run, targets)
        below.set_xlim(0, run.duration_s)
        below.set_xlabel("time since the load began (s)")
        _name_faults(above, run.incidents)
    legend_below(figure, list(_handles(runs, failures)), columns=4)
    captions = [_caption(run) for run in runs]
    alternative = " ".join(f"Chart of {run.due} requests behind {run.balancer}." for run in runs)
    return Chart(
        figure,
        _in_short(runs),
        "Requests at their intended starts, requests a second by outcome, and the servers at fault",
        "\n".join(f"- {each}" for each in captions),
        f"{alternative} {' '.join(captions)}",
    )


def fault_incidents(*runs: FaultRun) -> Table:
    """List each fault: when it was detected, when its server recovered, and what happened to requests."""
    header = (
        "balancer",
        "fault",
        "from–to (s)",
        "time to detect (s)",
        "time to recover (s)",
        "requests until the next",
        "failed",
        "slowest (ms)",
    )
    return Table(header, tuple(_line(run, incident) for run in runs for incident in run.incidents))


def fault_counts(*runs: FaultRun) -> Table:
    """List the counts of each run: requests due, succeeded, failed and how, lost, retried, executed twice."""
    header = ("balancer", "due", "succeeded", "failed", "how", "lost", "retried", "executed twice")
    return Table(header, tuple(_counts(run) for run in runs))


def fault_answer(*runs: FaultRun) -> Answer:
    """Say for each run how many requests were lost and failed, under which faults, and at what price."""
    told = [paragraph for run in runs for paragraph in _told(run) if paragraph]
    return Answer("\n\n".join(told or ["No run was measured."]))


def _in_short(runs: Sequence[FaultRun]) -> str:
    """Say in one sentence how many requests were lost and failed in all runs that count."""
    counting = [run for run in runs if not doubt(run)]
    if not counting:
        return "Nothing is shown: every run is invalid"
    told = [
        f"behind {run.balancer} {run.lost or 'none'} of {run.due} requests were lost and "
        f"{run.failed or 'none'} failed, under {counted_in_words(len(run.incidents))} "
        f"fault{'' if len(run.incidents) == 1 else 's'}"
        for run in counting
    ]
    said = "; ".join(told)
    return said[0].upper() + said[1:]


def _told(run: FaultRun) -> Iterator[str]:
    if doubt(run):
        yield f"**The run behind {run.balancer} is invalid and says nothing: {doubt(run)}.**"
        return
    costly = [f"{i.fault.kind} ({i.failed})" for i in run.incidents if i.failed]
    harmless = dict.fromkeys(str(i.fault.kind) for i in run.incidents if not i.failed)
    lost = "no request was lost" if run.lost == 0 else f"{run.lost} of {run.due} requests were lost"
    failed = f"{run.failed} of {run.due} failed" if run.failed else "none failed"
    yield f"**Behind {run.balancer} {lost}, and {failed}**, while {len(run.incidents)} faults struck."
    yield f"Requests failed under {', '.join(costly)}." if costly else ""
    yield f"Clients saw nothing fail under {', '.join(harmless)}." if harmless else ""
    yield _noticed(run.incidents)
    twice = f"services began {sum(run.executed_twice.values())} requests twice"
    if run.events:
        yield (
            f"The price: {run.retried} attempts went to a second instance, and {twice}, "
            "which the pipeline's routes declare to be harmless."
        )
    else:
        yield f"The price: {twice}. This balancer tells nothing of ejections and retries."


def _noticed(incidents: Sequence[Incident]) -> str:
    told = [
        f"{i.fault.kind} after {i.time_to_detect_s:.2f} s"
        for i in incidents
        if i.time_to_detect_s is not None
    ]
    back = [i.time_to_recover_s for i in incidents if i.time_to_recover_s is not None]
    if not told:
        return ""
    return f"Noticed: {', '.join(told)}." + (
        f" Back in service at most {max(back):.2f} s after the end of the fault." if back else ""
    )


def _responses(ax: Axes, run: FaultRun, failures: Sequence[str]) -> None:
    for place, name in enumerate([_ALL_WELL, *failures]):
        requests = [r for r in run.requests if r.outcome == name]
        well, style = name == _ALL_WELL, look(place)
        marks = ax.scatter(
            [r.at_s for r in requests],
            [1000 * r.response_time_s for r in requests],
            s=7 if well else 34,
            color=style.colour,
            marker="o" if well else style.marker,
            linewidth=0 if well else 0.8,
            edgecolor="white",
            zorder=3 if well else 4,
        )
        tell(marks, *map(request_tip, requests))
    ax.set_ylabel("response_time (ms)")


def _rates(ax: Axes, run: FaultRun, failures: Sequence[str]) -> None:
    edges = np.arange(0, math.ceil(run.duration_s) + 1)
    bottom = np.zeros(len(edges) - 1)
    for place, name in enumerate([_ALL_WELL, *failures]):
        counts, _ = np.histogram([r.at_s for r in run.requests if r.outcome == name], edges)
        style = look(place)
        bars = ax.bar(
            edges[:-1] + 0.5,
            counts,
            width=0.92,
            bottom=bottom,
            color=style.colour,
            hatch="" if name == _ALL_WELL else style.hatch,
            edgecolor="white",
            linewidth=0,
            zorder=2,
        )
        for at, bar, of in zip(edges, bars, counts, strict=False):
            tell(bar, f"second {at} to {at + 1}: {of} {name}")
        bottom += counts
    ax.set_ylabel("requests (1/s)")
    ax.set_ylim(0, max(1.0, float(bottom.max())) * 1.1)


def _lanes(ax: Axes, run: FaultRun, targets: Sequence[str]) -> None:
    ax.grid(visible=False, axis="y")
    ax.set_yticks(range(len(targets)), targets)
    ax.set_ylim(len(targets) - 0.4, -0.6)
    for lane, target in enumerate(targets):
        for incident in run.incidents:
            if incident.fault.target == target:
                length = _visible_end(incident) - incident.began_s
                (bar,) = ax.barh(lane, length, left=incident.began_s, height=0.6, color=_FAULT_COLOUR)
                tell(bar, str(incident.fault))
        for begin, end in _ejections(run, target):
            (bar,) = ax.barh(
                lane,
                end - begin,
                left=begin,
                height=0.6,
                facecolor="none",
                edgecolor=INK,
                hatch=_EJECTED_HATCH,
            )
            tell(bar, f"{target} ejected from {begin:.2f} to {end:.2f} s")


def _ejections(run: FaultRun, target: str) -> Iterator[tuple[float, float]]:
    """Yield the span of each ejection, to the return or to the end of the run, in seconds."""
    since: float | None = None
    for event in (event for event in run.events if event.instance == target):
        if event.kind is EventKind.EJECTED and since is None:
            since = event.at_s
        elif event.kind is EventKind.RESTORED and since is not None:
            yield since, event.at_s
            since = None
    if since is not None:
        yield since, run.duration_s


def _name_faults(ax: Axes, incidents: Sequence[Incident]) -> None:
    """Write the kind of each fault above its beginning, on a second line where the first is taken."""
    level = 0
    place = blended_transform_factory(ax.transData, ax.transAxes)
    begins = [incident.began_s for incident in incidents]
    gaps = [math.inf, *(later - earlier for earlier, later in pairwise(begins))]
    for incident, gap in zip(incidents, gaps, strict=True):
        level = 1 - level if gap < _LABEL_S * ax.get_xlim()[1] else 0
        ax.text(
            incident.began_s,
            1.02 + 0.06 * level,
            str(incident.fault.kind),
            transform=place,
            color=INK,
            fontsize=9,
            fontweight="bold",
        )


def _visible_end(incident: Incident) -> float:
    """Give the end of a fault as drawn: a restart is over in a moment and must still be seen."""
    return max(incident.ended_s, incident.began_s + 0.15)


def _failures(run: FaultRun) -> list[str]:
    return [name for name in run.outcomes if name != _ALL_WELL]


def _handles(runs: Sequence[FaultRun], failures: Sequence[str]) -> Iterator[Artist]:
    yield Line2D([], [], linestyle="none", marker="o", color=_WELL.colour, label="succeeded (http_200)")
    for place, name in enumerate(failures, start=1):
        style = look(place)
        yield Line2D(
            [], [], linestyle="none", marker=style.marker, color=style.colour, label=f"failed ({name})"
        )
    yield Patch(color=_FAULT_COLOUR, linewidth=0, label="fault")
    if any(run.events for run in runs):
        yield Patch(facecolor="none", edgecolor=INK, hatch=_EJECTED_HATCH, label="ejected by its balancer")


def _caption(run: FaultRun) -> str:
    if doubt(run):
        return f"Behind {run.balancer} the run is invalid and says nothing: {doubt(run)}."
    failed = ", ".join(f"{count} {name}" for name, count in run.outcomes.items() if name != _ALL_WELL)
    repeated = f"{run.retried} attempts were repeated elsewhere." if run.events else ""
    return (
        f"Behind {run.balancer}, of {run.due} requests {run.succeeded} succeeded and {run.failed} failed"
        f"{f' ({failed})' if failed else ''}; {run.lost} are unaccounted for. "
        f"{repeated}"
    ).rstrip()


def _line(run: FaultRun, incident: Incident) -> tuple[str, ...]:
    what = str(incident.fault).partition(" for ")[0].split(" ", 2)[2]
    when = f"{incident.began_s:.1f}–{incident.ended_s:.1f}"
    if doubt(run):
        return (f"{run.balancer}, invalid", what, when, *["–"] * 5)
    return (
        run.balancer,
        what,
        when,
        _seconds(incident.time_to_detect_s),
        _seconds(incident.time_to_recover_s),
        str(incident.requests),
        str(incident.failed),
        f"{1000 * incident.slowest_s:,.0f}",
    )


def _counts(run: FaultRun) -> tuple[str, ...]:
    how = Counter({name: count for name, count in run.outcomes.items() if name != _ALL_WELL})
    twice = ", ".join(f"{name} {count}" for name, count in run.executed_twice.items() if count)
    if doubt(run):
        return (f"{run.balancer}, invalid", str(run.due), "–", "–", doubt(run), *["–"] * 3)
    return (
        run.balancer,
        str(run.due),
        str(run.succeeded),
        str(run.failed),
        ", ".join(f"{name} {count}" for name, count in how.most_common()) or "–",
        str(run.lost),
        str(run.retried) if run.events else "not told",
        twice or "none",
    )


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


_LABEL_S = 0.06
"""What share of the axis a label takes."""
