"""A plan is run trial after trial, each a row in the CSV as soon as it is measured."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from lab.load.result import Progress
from lab.measure.columns import Factors
from lab.measure.factors import topology_of
from lab.measure.row import Trial
from lab.names import PlacementName
from lab.placement.ports import require_free
from lab.progress import SecondsBar, note, seconds_bar
from lab.results.csv_file import Results, read_measurements
from lab.results.folder import HOME
from lab.sweep.plan import Plan, seconds
from lab.sweep.trial import place, run_trial

__all__ = ["run_sweep"]


def run_sweep(plan: Plan) -> Path:
    """Run what the plan has and the CSV has not, and return the path of the CSV.

    Every row is on the disk before the next trial starts: an interrupted sweep keeps what it has, and goes
    on where it stopped when a plan of the same name and parameters is run. Raises SweepMismatch if the name
    is that of a sweep with other parameters; NotSupported, ProgramMissing and PortInUse where a trial
    could not start, before the first does; StartFailed, and whatever loading raises.
    """
    if not plan.path.exists():
        _require_placeable(plan)
        _require_free_ports(plan)
    with Results(plan.path, plan.parameters) as results:
        if results.set_aside:
            note(results.set_aside)
        left = plan.left(read_measurements(plan.path))
        if left:
            note(f"{len(left)} trials into {_shown(plan.path)}; interrupted, name {plan.name} goes on")
        with seconds_bar(sum(seconds(factors) for _, factors in left)) as bar:
            for place, (trial, factors) in enumerate(left, start=1):
                bar.say(f"trial {place} of {len(left)}: {_name(factors)}")
                _one(plan, trial, factors, results, bar)
    note(_summary(plan))
    return plan.path


def _summary(plan: Plan) -> str:
    """Say what the CSV holds now, and what to do about invalid trials."""
    rows = read_measurements(plan.path)
    reasons = Counter(reason for row in rows for reason in (row.health.invalid_reason or "").split())
    invalid = sum(not row.health.valid for row in rows)
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    said = f"{_shown(plan.path)}: {len(rows)} trials, {invalid} invalid" + (f" ({why})" if invalid else "")
    lacking = len(replace(plan, redo_invalid=True).left(rows))
    remedy = f"the same with name {plan.name} and redo_invalid true adds those"
    return f"{said}; cells lack {lacking} valid trials: {remedy}" if lacking else said


def _shown(path: Path) -> Path:
    """Return the path relative to the checkout where it lies in that."""
    return path.relative_to(HOME) if path.is_relative_to(HOME) else path


def _require_placeable(plan: Plan) -> None:
    """Refuse what a later trial would lack, such as a balancer's program, before the first begins."""
    for combination in plan.grid.combinations():
        place(combination, plan.generators)


def _require_free_ports(plan: Plan) -> None:
    """Refuse taken ports before there is a CSV, so that a sweep that cannot start leaves none."""
    wanted: dict[tuple[str, int], tuple[str, str, int]] = {}
    for combination in plan.grid.combinations():
        if combination["placement"] != PlacementName.REMOTE:
            topology = topology_of(combination).shifted(plan.port_offset)
            wanted |= {(host, port): (name, host, port) for name, host, port in topology.addresses()}
    require_free(wanted.values())


def _one(plan: Plan, trial: Trial, factors: Factors, results: Results, bar: SecondsBar) -> None:
    planned_s = seconds(factors)

    def show(progress: Progress) -> None:
        bar.within(progress.elapsed_s, planned_s)

    run_trial(
        trial,
        factors,
        plan.generators,
        port_offset=plan.port_offset,
        on_progress=show,
        keep=results.append,
    )
    bar.finish(planned_s)


def _name(factors: Factors) -> str:
    return f"{factors.topology} at {factors.concurrency or f'{factors.requested_rate:g}/s'}"
