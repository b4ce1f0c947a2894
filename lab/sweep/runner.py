"""A plan is run trial after trial, each a row in the CSV as soon as it is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lab.measure.columns import Factors
from lab.measure.factors import topology_of
from lab.measure.row import Trial
from lab.names import PlacementName
from lab.placement.ports import require_free
from lab.progress import note, seconds_bar
from lab.results.csv_file import Results, read_measurements
from lab.results.folder import HOME
from lab.sweep.plan import Plan, seconds
from lab.sweep.sweep_events import (
    ProgressLine,
    SweepEvent,
    SweepListener,
    TrialBegun,
    TrialEnded,
    TrialProgress,
)
from lab.sweep.trial import place, run_trial, urls_served
from lab.trials import made_up_for, say_who_computes

__all__ = ["run_sweep"]


def run_sweep(plan: Plan, *listeners: SweepListener) -> Path:
    """Run what the plan has and the CSV has not, and return the path of the CSV.

    Every row is on the disk before the next trial starts: an interrupted sweep keeps what it has, and goes
    on where it stopped when a plan of the same name and parameters is run. Raises SweepMismatch if the name
    is that of a sweep with other parameters; NotSupported, ProgramMissing and PortInUse where a trial
    could not start, before the first does; StartFailed, and whatever loading raises.

    Trials that are invalid are made up for by further ones, up to the bound that the plan names. `listeners`
    are told what happens, beside the line that shows it.
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
            served = {url for each in plan.grid.combinations() for url in urls_served(each, plan.port_offset)}
            say_who_computes(made_up_for(plan.most_redone), *served)
        while left:
            _run_all(plan, left, results, listeners)
            left = plan.left(read_measurements(plan.path))
            if left:
                note(f"{len(left)} more trials make up for invalid ones (redo_invalid {plan.most_redone})")
    note(_summary(plan))
    return plan.path


def _run_all(
    plan: Plan,
    trials: Sequence[tuple[Trial, Factors]],
    results: Results,
    listeners: Sequence[SweepListener],
) -> None:
    with seconds_bar(sum(seconds(factors) for _, factors in trials)) as bar:
        views: tuple[SweepListener, ...] = (ProgressLine(bar), *listeners)
        for place, (trial, factors) in enumerate(trials, start=1):
            begun = TrialBegun(trial, factors, place, len(trials), seconds(factors))
            _run_one(plan, begun, results, views)


def _run_one(plan: Plan, begun: TrialBegun, results: Results, views: Sequence[SweepListener]) -> None:
    def tell(event: SweepEvent) -> None:
        for view in views:
            view(event)

    tell(begun)
    row = run_trial(
        begun.trial,
        begun.factors,
        plan.generators,
        port_offset=plan.port_offset,
        on_progress=lambda progress: tell(TrialProgress(begun, progress)),
        keep=results.append,
    )
    tell(TrialEnded(begun, row))


def _summary(plan: Plan) -> str:
    """Say what the CSV holds now, and what to do about invalid trials."""
    rows = read_measurements(plan.path)
    reasons = Counter(reason for row in rows for reason in (row.health.invalid_reason or "").split())
    invalid = sum(not row.health.valid for row in rows)
    why = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    said = f"{_shown(plan.path)}: {len(rows)} trials, {invalid} invalid" + (f" ({why})" if invalid else "")
    lacking = len(replace(plan, redo_invalid=len(rows)).left(rows))
    remedy = f"the same with name {plan.name} and redo_invalid {plan.redone(rows) + lacking} adds those"
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
