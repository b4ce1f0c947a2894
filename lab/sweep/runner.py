"""Runs a plan: trial after trial, each a row in the CSV as soon as it is measured."""

from __future__ import annotations

from pathlib import Path

from lab.load.result import Progress
from lab.measure.columns import Factors
from lab.measure.reading import Trial
from lab.placement.names import PlacementName
from lab.placement.ports import require_free
from lab.results import Results
from lab.sweep.building import topology_of
from lab.sweep.plan import Plan, seconds
from lab.sweep.progress import SecondsBar, seconds_bar
from lab.sweep.trial import run_trial

__all__ = ["run_sweep"]


def run_sweep(plan: Plan) -> Path:
    """Run what the plan has and the CSV has not, and return the path of the CSV.

    Every row is on the disk before the next trial starts: an interrupted sweep keeps what it has, and goes
    on where it stopped when a plan of the same name and parameters is run. Raises SweepMismatch if the name
    is that of a sweep with other parameters, PortInUse, StartFailed, and whatever loading raises.
    """
    if not plan.path.exists():
        _require_free_ports(plan)
    with Results(plan.path, plan.parameters) as results:
        left = [each for each in plan.order() if (each[0].cell_id, each[0].number) not in results.done]
        with seconds_bar(sum(seconds(factors) for _, factors in left)) as bar:
            for place, (trial, factors) in enumerate(left, start=1):
                bar.say(f"trial {place} of {len(left)}: {_name(factors)}")
                _one(plan, trial, factors, results, bar)
    return plan.path


def _require_free_ports(plan: Plan) -> None:
    """Before there is a CSV, so that a sweep that cannot start leaves none."""
    wanted = {}
    for combination in plan.grid.combinations():
        if combination["placement"] != PlacementName.REMOTE:
            topology = topology_of(combination).shifted(plan.port_offset)
            wanted |= {(host, port): (name, host, port) for name, host, port in topology.addresses()}
    require_free(wanted.values())


def _one(plan: Plan, trial: Trial, factors: Factors, results: Results, bar: SecondsBar) -> None:
    planned_s = seconds(factors)

    def show(progress: Progress) -> None:
        bar.within(progress.elapsed_s, planned_s)

    row, histograms = run_trial(trial, factors, port_offset=plan.port_offset, on_progress=show)
    results.append(row, histograms)
    bar.finish(planned_s)


def _name(factors: Factors) -> str:
    return f"{factors.topology} at {factors.concurrency or f'{factors.requested_rate:g}/s'}"
