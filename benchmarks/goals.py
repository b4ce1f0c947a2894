"""Print the figure of a goal beside its bound as it is found, and keep it as JSON."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from inspect import signature
from pathlib import Path

from lab.machine import facts
from lab.results.sidecar import Provenance

__all__ = ["Goal", "GoalFigure", "at_least", "at_most", "main", "reference"]


@dataclass(frozen=True, slots=True)
class GoalFigure:
    """One figure. `ok` says whether it keeps its bound; None marks a figure without one."""

    what: str
    figure: float
    unit: str = ""
    bound: str = ""
    ok: bool | None = None

    def line(self) -> str:
        """Return the line to print."""
        verdict = {True: "ok", False: "MISSED", None: ""}[self.ok]
        figure = f"{self.figure:,.4g} {self.unit}".rstrip()
        return f"  {verdict:7}{self.what}: {figure}" + (f"  ({self.bound})" if self.bound else "")


Goal = Callable[..., Iterator[GoalFigure]]
"""A function that measures one thing in bounded time. The first line of its docstring is its title.

One that takes `seconds` lasts as long as the command line says, and as long as it is by itself otherwise.
"""


def at_most(what: str, figure: float, limit: float, unit: str = "") -> GoalFigure:
    """Return a figure that must not exceed its limit; nan misses it."""
    return GoalFigure(what, float(figure), unit, f"at most {limit:g} {unit}".rstrip(), bool(figure <= limit))


def at_least(what: str, figure: float, limit: float, unit: str = "") -> GoalFigure:
    """Return a figure that must reach its limit; nan misses it."""
    return GoalFigure(what, float(figure), unit, f"at least {limit:g} {unit}".rstrip(), bool(figure >= limit))


def reference(what: str, figure: float, unit: str = "") -> GoalFigure:
    """Return a figure for comparison, without a bound."""
    return GoalFigure(what, float(figure), unit)


def main(name: str, goals: Mapping[str, Goal]) -> int:
    """Measure the goals named on the command line, or all, and write build/NAME.json; return 1 for a miss."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("goals", nargs="*", metavar="goal", help=f"which: {', '.join(goals)} (default: all)")
    parser.add_argument("--seconds", type=float, help="how long a goal that takes a length lasts")
    options = parser.parse_args()
    wanted = options.goals or list(goals)
    unknown = sorted(set(wanted) - set(goals))
    if unknown:
        parser.error(f"no goal {unknown}: there are {list(goals)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # blocks end what they began
    for fact in facts():
        if not fact.ok:
            print(f"  note   {fact.name} {fact.value}: {fact.remedy}", flush=True)
    measured: dict[str, list[GoalFigure]] = {}
    for goal in wanted:
        measured[goal] = _measure(goal, goals[goal], options.seconds)
    file = Path("build") / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    rows = {goal: [asdict(figure) for figure in figures] for goal, figures in measured.items()}
    file.write_text(json.dumps({"provenance": asdict(Provenance.gather()), "goals": rows}, indent=1) + "\n")
    missed = [f"{goal}: {f.what}" for goal, figures in measured.items() for f in figures if f.ok is False]
    print(f"{file}: " + (f"{len(missed)} missed: {'; '.join(missed)}" if missed else "every bound kept"))
    return 1 if missed else 0


def _measure(name: str, goal: Goal, seconds: float | None) -> list[GoalFigure]:
    print(f"{name}: {(goal.__doc__ or name).splitlines()[0]}", flush=True)
    begun = time.monotonic()
    figures = []
    lasting = seconds is not None and "seconds" in signature(goal).parameters
    for figure in partial(goal, seconds=seconds)() if lasting else goal():
        figures.append(figure)
        print(figure.line(), flush=True)
    print(f"         in {time.monotonic() - begun:.0f} s", flush=True)
    return figures
