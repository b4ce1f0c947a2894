"""What clients see when an instance dies and comes back, a panel for each balancer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lab.charts.axes import beside, legend_below, log_values
from lab.charts.chart import Chart, styled
from lab.charts.style import look, new_figure
from lab.charts.tooltips import tell
from lab.rounding import number

if TYPE_CHECKING:
    from lab.faults import FaultRun
    from lab.faults.report import Request

__all__ = ["deaths", "doubt", "request_tip"]

_COLUMNS = 3
_WELL, _ILL = look(0), look(1)


@styled
def deaths(*runs: FaultRun) -> Chart:
    """Draw a panel for each run, every request at its intended start, all to the same scale.

    `runs` are as `lab.faults.play` gives them.
    """
    columns = beside(len(runs), _COLUMNS)
    lines = math.ceil(len(runs) / columns)
    figure = new_figure(10.0, 2.6 * lines + 0.9)
    places = list(figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).flat)
    for ax in places[len(runs) :]:
        ax.remove()
    for place, (ax, run) in enumerate(zip(places, runs, strict=False)):
        _draw(ax, run)
        ax.tick_params(labelbottom=True)
        if place % columns == 0:
            ax.set_ylabel("response_time (ms)")
        if place + columns >= len(runs):
            ax.set_xlabel("time since the load began (s)")
    log_values(places[0].yaxis, [1000 * r.response_time_s for run in runs for r in run.requests])
    legend_below(figure, _handles(), columns=3)
    sentences = [_sentence(run) for run in runs]
    return Chart(
        figure,
        _answer(runs),
        "Every request at its intended start, while an instance is dead",
        "\n".join(f"- {each}" for each in sentences),
        " ".join(sentences),
    )


def doubt(run: FaultRun) -> str:
    """Say why a run under faults counts for nothing; empty where it counts."""
    health = run.measurement.health
    return "" if health.valid else health.invalid_reason or "without a reason"


def _draw(ax: Axes, run: FaultRun) -> None:
    ax.set_title(
        f"{run.balancer}: "
        + (f"invalid, {doubt(run)}" if doubt(run) else f"{run.failed} of {run.due} failed")
    )
    ax.set_xlim(0, run.duration_s)
    for incident in run.incidents:
        ax.axvspan(incident.began_s, incident.ended_s, color=_ILL.colour, alpha=0.12, linewidth=0)
    for succeeded, style, size in ((True, _WELL, 9), (False, _ILL, 34)):
        requests = [r for r in run.requests if r.succeeded is succeeded]
        marks = ax.scatter(
            [r.at_s for r in requests],
            [1000 * r.response_time_s for r in requests],
            s=size,
            color=style.colour,
            marker=style.marker,
            linewidth=0 if succeeded else 0.8,
            edgecolor="white",
            zorder=3 if succeeded else 4,
        )
        tell(marks, *map(request_tip, requests))


def _handles() -> list[Line2D | Patch]:
    def entry(label: str, marker: str, colour: str) -> Line2D:
        return Line2D([], [], linestyle="none", marker=marker, color=colour, label=label)

    return [
        entry("succeeded", _WELL.marker, _WELL.colour),
        entry("failed", _ILL.marker, _ILL.colour),
        Patch(facecolor=_ILL.colour, alpha=0.12, linewidth=0, label="the instance is dead"),
    ]


def request_tip(request: Request) -> str:
    """Describe a request: when it was due, how long its response took, and what came of it."""
    return f"due at {request.at_s:.3f} s\n{number(1000 * request.response_time_s)} ms\n{request.outcome}"


def _answer(runs: Sequence[FaultRun]) -> str:
    """Say behind which balancers requests failed, in a few words."""
    counting = [run for run in runs if not doubt(run)]
    hidden = [run.balancer for run in counting if not run.failed]
    shown = [f"{run.balancer} ({run.failed} of {run.due})" for run in counting if run.failed]
    if not counting:
        return "Nothing is shown: every run is invalid"
    if not shown:
        return f"Clients notice nothing of the death behind {', '.join(hidden)}"
    return f"Requests fail behind {', '.join(shown)}" + (
        f"; none behind {', '.join(hidden)}" if hidden else ""
    )


def _sentence(run: FaultRun) -> str:
    if doubt(run):
        return f"Behind {run.balancer} the run is invalid and says nothing: {doubt(run)}."
    slowest_ms = 1000 * max((incident.slowest_s for incident in run.incidents), default=0.0)
    how = ", ".join(f"{count} {name}" for name, count in run.outcomes.items() if name != "http_200")
    failed = f"{run.failed} of {run.due} requests failed ({how})" if run.failed else "no request failed"
    return f"Behind {run.balancer} {failed}, and the slowest took {slowest_ms:,.0f} ms."
