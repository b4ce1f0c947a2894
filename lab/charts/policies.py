"""Balancing policies compared: each as measured and as simulated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from lab.charts.answer import Answer
from lab.charts.axes import legend_below
from lab.charts.style import INK, Chart, look, new_figure, styled
from lab.charts.tables import Table

if TYPE_CHECKING:
    from lab.policy_comparison import PolicyResult, Scenario

__all__ = ["policies", "policy_answer", "policy_table"]

_MEASURED, _SIMULATED = look(0), look(4)
_BAR = 0.38
_TIE = 1.1
"""Simulated means that differ by less than this factor are a tie."""


@styled
def policies(results: Sequence[PolicyResult]) -> Chart:
    """Draw a panel for each scenario, a pair of bars for each policy, the best simulated mean on top."""
    scenarios = list(dict.fromkeys(each.scenario for each in results))
    most = max(len(_ranked(results, scenario)) for scenario in scenarios)
    figure = new_figure(10.4, 0.55 * most + 2.0)
    figure.suptitle("Mean response_time by policy", x=0.01, ha="left")
    places = figure.subplots(1, len(scenarios), squeeze=False)[0]
    for ax, scenario in zip(places, scenarios, strict=True):
        _draw(ax, _ranked(results, scenario))
        ax.set_title(str(scenario))
    handles = [
        Patch(facecolor=_MEASURED.colour, label="measured, with its 95 % interval"),
        Patch(facecolor="white", edgecolor=_SIMULATED.colour, hatch=_SIMULATED.hatch, label="simulated"),
    ]
    legend_below(figure, handles, columns=2)
    sentences = [_sentence(_ranked(results, scenario)) for scenario in scenarios]
    return Chart(figure, "\n".join(f"- {each}" for each in sentences), " ".join(sentences))


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
    return Answer("\n\n".join(_verdict(_ranked(results, scenario)) for scenario in scenarios))


def _ranked(results: Sequence[PolicyResult], scenario: Scenario) -> list[PolicyResult]:
    return sorted((each for each in results if each.scenario is scenario), key=lambda each: each.simulated_ms)


def _draw(ax: Axes, ranked: Sequence[PolicyResult]) -> None:
    rows = range(len(ranked))
    means = [each.measured.estimate for each in ranked]
    spans = [
        [each.measured.estimate - each.measured.low for each in ranked],
        [each.measured.high - each.measured.estimate for each in ranked],
    ]
    ax.barh(
        [row - _BAR / 2 for row in rows],
        means,
        _BAR,
        xerr=spans,
        color=_MEASURED.colour,
        ecolor=INK,
        capsize=3,
        zorder=2,
    )
    ax.barh(
        [row + _BAR / 2 for row in rows],
        [each.simulated_ms for each in ranked],
        _BAR,
        facecolor="white",
        edgecolor=_SIMULATED.colour,
        hatch=_SIMULATED.hatch,
        zorder=2,
    )
    ax.set_yticks(rows, [str(each.policy) for each in ranked])
    ax.set_ylim(len(ranked) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlim(0, None)
    ax.set_xlabel("mean response_time (ms)")


def _line(each: PolicyResult) -> tuple[str, ...]:
    interval = f"{each.measured.low:.0f}–{each.measured.high:.0f}"
    return (
        str(each.scenario),
        str(each.policy),
        f"{each.measured.estimate:.1f} ({interval})",
        f"{each.simulated_ms:.1f}",
        "–" if each.measured_p95_ms is None else f"{each.measured_p95_ms:.0f}",
        f"{each.simulated_p95_ms:.0f}",
        f"{each.share_of_first:.0%}",
        str(each.answers),
        str(each.failed),
    )


def _sentence(ranked: Sequence[PolicyResult]) -> str:
    inside = sum(each.simulated_ms in each.measured for each in ranked)
    best, worst = ranked[0], ranked[-1]
    return (
        f"With {best.scenario}: {best.policy} {best.simulated_ms:.0f} ms, {worst.policy} "
        f"{worst.simulated_ms:.0f} ms simulated; {inside} of {len(ranked)} simulated means lie in the "
        "measured intervals."
    )


def _verdict(ranked: Sequence[PolicyResult]) -> str:
    best, worst = ranked[0], ranked[-1]
    tied = [str(each.policy) for each in ranked if each.simulated_ms < _TIE * best.simulated_ms]
    winners = " and ".join(filter(None, [", ".join(tied[:-1]), tied[-1]]))
    measured = min(ranked, key=lambda each: each.measured.estimate)
    agrees = ", as simulated" if str(measured.policy) in tied else ""
    times = worst.simulated_ms / best.simulated_ms
    return (
        f"**With {best.scenario} {winners} {'win' if len(tied) > 1 else 'wins'}**, at a mean of "
        f"{best.simulated_ms:.0f} ms; {worst.policy} takes {times:.1f} times as long. "
        f"Measured, {measured.policy} is first{agrees}: {measured.measured.estimate:.0f} ms "
        f"({measured.measured.low:.0f} to {measured.measured.high:.0f})."
    )
