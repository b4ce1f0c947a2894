"""A goal's figure beside its bound: printed as it is found, and kept as JSON."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.machine import facts
from lab.results.sidecar import Provenance

__all__ = ["Finding", "Goal", "at_least", "at_most", "main", "told"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure. `ok` says whether it keeps to its bound, None where it is told for comparison only."""

    what: str
    figure: float
    unit: str = ""
    bound: str = ""
    ok: bool | None = None

    def line(self) -> str:
        """As it is printed."""
        verdict = {True: "ok", False: "MISSED", None: ""}[self.ok]
        figure = f"{self.figure:,.4g} {self.unit}".rstrip()
        return f"  {verdict:7}{self.what}: {figure}" + (f"  ({self.bound})" if self.bound else "")


Goal = Callable[[], Iterator[Finding]]
"""Measures one thing, in bounded time. The first line of its docstring is its title."""


def at_most(what: str, figure: float, limit: float, unit: str = "") -> Finding:
    """A figure that is not to be above its limit; nan is."""
    return Finding(what, float(figure), unit, f"at most {limit:g} {unit}".rstrip(), bool(figure <= limit))


def at_least(what: str, figure: float, limit: float, unit: str = "") -> Finding:
    """A figure that is not to be below its limit; nan is."""
    return Finding(what, float(figure), unit, f"at least {limit:g} {unit}".rstrip(), bool(figure >= limit))


def told(what: str, figure: float, unit: str = "") -> Finding:
    """A figure for comparison, with no bound."""
    return Finding(what, float(figure), unit)


def main(name: str, goals: Mapping[str, Goal]) -> int:
    """Measure the goals named on the command line, or all; 1 if one was missed. Writes build/<name>.json."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("goals", nargs="*", metavar="goal", help=f"which: {', '.join(goals)} (default: all)")
    wanted = parser.parse_args().goals or list(goals)
    unknown = sorted(set(wanted) - set(goals))
    if unknown:
        parser.error(f"no goal {unknown}: there are {list(goals)}")
    for fact in facts():
        if not fact.ok:
            print(f"  note   {fact.name} {fact.value}: {fact.remedy}", flush=True)
    found: dict[str, list[Finding]] = {}
    for goal in wanted:
        found[goal] = _measured(goal, goals[goal])
    file = Path("build") / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    rows = {goal: [asdict(finding) for finding in findings] for goal, findings in found.items()}
    file.write_text(json.dumps({"provenance": Provenance.gather().to_json(), "goals": rows}, indent=1) + "\n")
    missed = [f"{goal}: {f.what}" for goal, findings in found.items() for f in findings if f.ok is False]
    print(f"{file}: " + (f"{len(missed)} missed: {'; '.join(missed)}" if missed else "every bound kept"))
    return 1 if missed else 0


def _measured(name: str, goal: Goal) -> list[Finding]:
    print(f"{name}: {(goal.__doc__ or name).splitlines()[0]}", flush=True)
    begun = time.monotonic()
    findings = []
    for finding in goal():
        findings.append(finding)
        print(finding.line(), flush=True)
    print(f"         in {time.monotonic() - begun:.0f} s", flush=True)
    return findings
