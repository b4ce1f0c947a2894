"""Balancing policies compared: each as measured and as simulated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lab.charts.answer import Answer
from lab.charts.axes import beside, legend_below
from lab.charts.chart import Chart, styled
from lab.charts.style import INK, look, new_figure
from lab.charts.tables import Table, figure_of
from lab.charts.tooltips import tell
from lab.measure.statistics import Interval
from lab.rounding import number

if TYPE_CHECKING:
    from lab.policy_comparison import PolicyResult, Scenario

__all__ = ["policies", "policy_answer", "policy_table"]

_MEASURED, _SIMULATED = look(0), look(4)
_HOLLOW: Any = {"marker": "o", "color": _MEASURED.colour, "markerfacecolor": "white", "linestyle": "none"}
_BAR = 0.38
_TIE = 1.1
"""Simulated means that differ by less than this factor are a tie."""


@styled
def policies(results: Sequence[PolicyResult]) -> Chart:
    """Draw a panel for each scenario, a pair of bars for each policy, the best simulated mean on top."""
    scenarios = list(dict.fromkeys(each.scenario for each in results))
    most = max(len(_ranked(results, scenario)) for scenario in scenarios)
    columns = beside(len(scenarios))
    lines = math.ceil(len(scenarios) / columns)
    figure = new_figure(10.0, (0.55 * most + 1.1) * lines + 0.9)
    places = figure.subplots(lines, columns, squeeze=False).flat
    for ax, scenario in zip(places, scenarios, strict=True):
        _draw(ax, _ranked(results, scenario))
        ax.set_title(str(scenario))
    handles: list[Artist] = [
        Patch(facecolor=_MEASURED.colour, label="measured, with its 95 % interval"),
        Patch(facecolor="white", edgecolor=_SIMULATED.colour, hatch=_SIMULATED.hatch, label="simulated"),
    ]
    if not all(each.counts for each in results):
        handles.append(Line2D([], [], **_HOLLOW, label="measured in an invalid trial"))
    legend_below(figure, handles, columns=len(handles))
    sentences = [_sentence(_ranked(results, scenario)) for scenario in scenarios]
    return Chart(
        figure,
        "; ".join(_first(_ranked(results, scenario)) for scenario in scenarios),
        "Mean response_time of each policy, measured and simulated, the best simulated on top",
        "\n".join(f"- {each}" for each in sentences),
        " ".join(sentences),
    )


def policy_table(results: Sequence[PolicyResult]) -> Table:
    """List each policy in each scenario, the best simulated mean first."""
    header = (
        "scenario",
        "policy",
        "measured mean (ms)",
        "simulated",
        "measured p95 (ms)",
        "simulated p95",
        "to the first instance",
        "answers",
        "failed",
    )
    scenarios = dict.fromkeys(each.scenario for each in results)
    return Table(header, tuple(_line(each) for scenario in scenarios for each in _ranked(results, scenario)))


def policy_answer(results: Sequence[PolicyResult]) -> Answer:
    """Say which policy wins each scenario by simulation, and whether the measurement agrees."""
    scenarios = dict.fromkeys(each.scenario for each in results)
    told = [_verdict(_ranked(results, scenario)) for scenario in scenarios]
    return Answer("\n\n".join(told or ["No policy was measured."]))


def _ranked(results: Sequence[PolicyResult], scenario: Scenario) -> list[PolicyResult]:
    return sorted((each for each in results if each.scenario is scenario), key=lambda each: each.simulated_ms)


def _draw(ax: Axes, ranked: Sequence[PolicyResult]) -> None:
    rows = range(len(ranked))
    for row, each in enumerate(ranked):
        if each.counts:
            (measured,) = _bar(ax, row - _BAR / 2, each.measured)
            tell(measured, _measured_tip(each))
        elif each.measured.estimate > 0:
            (hollow,) = ax.plot(each.measured.estimate, row - _BAR / 2, **_HOLLOW, zorder=3)
            tell(hollow, _measured_tip(each))
    simulated = ax.barh(
        [row + _BAR / 2 for row in rows],
        [each.simulated_ms for each in ranked],
        _BAR,
        facecolor="white",
        edgecolor=_SIMULATED.colour,
        hatch=_SIMULATED.hatch,
        zorder=2,
    )
    for bar, each in zip(simulated, ranked, strict=True):
        tell(bar, f"{each.policy}, {each.scenario}\nsimulated mean: {number(each.simulated_ms)} ms")
    ax.set_yticks(rows, [str(each.policy) for each in ranked])
    ax.set_ylim(len(ranked) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlim(0, None)
    ax.set_xlabel("mean response_time (ms)")


def _measured_tip(each: PolicyResult) -> str:
    counts = "valid" if each.counts else f"invalid: {_why(each)}"
    return f"{each.policy}, {each.scenario}\nmeasured mean: {figure_of(each.measured)} ms\n{counts}"


def _bar(ax: Axes, height: float, of: Interval) -> BarContainer:
    span = [[of.estimate - of.low], [of.high - of.estimate]]
    return ax.barh(
        height, of.estimate, _BAR, xerr=span, color=_MEASURED.colour, ecolor=INK, capsize=3, zorder=2
    )


def _line(each: PolicyResult) -> tuple[str, ...]:
    p95 = each.measured_p95_ms if each.counts else None
    return (
        str(each.scenario),
        str(each.policy),
        figure_of(each.measured) if each.counts else f"– ({_why(each)})",
        f"{each.simulated_ms:.1f}",
        "–" if p95 is None else f"{p95:.0f}",
        f"{each.simulated_p95_ms:.0f}",
        f"{each.share_of_first:.0%}",
        str(each.answers),
        str(each.failed),
    )


def _why(each: PolicyResult) -> str:
    return each.invalid_reason or "too few answers"


def _first(ranked: Sequence[PolicyResult]) -> str:
    """Name the winners by simulation and what the last one takes."""
    best, worst = ranked[0], ranked[-1]
    names = [str(each.policy) for each in ranked if each.simulated_ms < _TIE * best.simulated_ms]
    if len(names) == len(ranked):
        return f"{best.scenario}: no policy is ahead"
    won = f"{names[0]} wins" if len(names) == 1 else f"{names[0]} and {len(names) - 1} more win"
    times = f"{worst.simulated_ms / best.simulated_ms:.1f} times as long"
    return f"{best.scenario}: {won}, {worst.policy} takes {times}"


def _sentence(ranked: Sequence[PolicyResult]) -> str:
    counting = [each for each in ranked if each.counts]
    inside = sum(each.simulated_ms in each.measured for each in counting)
    best, worst = ranked[0], ranked[-1]
    within = f"{inside} of {len(counting)} simulated means lie in the measured intervals"
    return (
        f"With {best.scenario}: {best.policy} {best.simulated_ms:.0f} ms, {worst.policy} "
        f"{worst.simulated_ms:.0f} ms simulated; {within if counting else 'no trial is valid'}."
        f"{_left_out(ranked)}"
    )


def _left_out(ranked: Sequence[PolicyResult]) -> str:
    told = ", ".join(f"{each.policy} ({_why(each)})" for each in ranked if not each.counts)
    return f" Not counted, as their trials are invalid: {told}." if told else ""


def _verdict(ranked: Sequence[PolicyResult]) -> str:
    """Say who wins by simulation, in bold where valid trials agree, and what these say."""
    best, worst = ranked[0], ranked[-1]
    tied = [each for each in ranked if each.simulated_ms < _TIE * best.simulated_ms]
    names = [str(each.policy) for each in tied]
    winners = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    counting = [each for each in ranked if each.counts]
    first = min(counting, key=lambda each: each.measured.estimate, default=None)
    said = f"With {best.scenario} {winners} {'win' if len(tied) > 1 else 'wins'}"
    times = (
        f"at a mean of {best.simulated_ms:.0f} ms; {worst.policy} takes "
        f"{worst.simulated_ms / best.simulated_ms:.1f} times as long."
    )
    if first is None:
        return f"Simulated alone: {said}, {times} Nothing that counts was measured.{_left_out(ranked)}"
    measured = f"{first.measured.estimate:.0f} ms ({first.measured.low:.0f} to {first.measured.high:.0f})"
    if first in tied:
        agreed = f"Measured, {first.policy} is first, as simulated: {measured}."
        return f"**{said}**, {times} {agreed}{_left_out(ranked)}"
    overlaps = any(each.counts and each.measured.low <= first.measured.high for each in tied)
    how = "too near the simulated winner to tell" if overlaps else "against the simulation"
    return (
        f"Simulated: {said}, {times} Measured, {first.policy} is first, {how}: {measured}.{_left_out(ranked)}"
    )
