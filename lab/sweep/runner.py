"""A plan is run trial after trial, each a row in the CSV as soon as it is measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lab.experiment_events import Course, Listener, TrialBegun, TrialEnded, name_of
from lab.measure.columns import Factors
from lab.measure.factors import topology_of
from lab.measure.measurement import Measurement
from lab.measure.row import Trial
from lab.names import BalancerName, PlacementName
from lab.placement.ports import held, require_free
from lab.progress import follow, note
from lab.results.csv_file import Results, read_measurements
from lab.results.folder import HOME
from lab.results.sidecar import why_no_commit
from lab.sweep.plan import Plan, seconds
from lab.sweep.review import write_review
from lab.sweep.trial import place, run_trial, urls_served
from lab.trials import InvalidTrials, made_up_for, say_who_computes
from services.names import ProtocolName

__all__ = ["run_sweep"]


def run_sweep(plan: Plan, *listeners: Listener) -> Path:
    """Run what the plan has and the CSV has not, and return the path of the CSV.

    Every row is on the disk before the next trial starts: an interrupted sweep keeps what it has, and goes
    on where it stopped when a plan of the same name and parameters is run. The first interrupt ends it after
    the present trial, a second one at once; either way the path is returned. Raises SweepMismatch if the name
    is that of a sweep with other parameters; NotSupported, ProgramMissing and PortInUse where a trial
    could not start, before the first does; StartFailed, and whatever loading raises.

    Beside the CSV of a sweep with a name it leaves NAME.md and NAME.png, for reviewers.

    Trials that are invalid are made up for by further ones, up to the bound that the plan names. `listeners`
    are told what happens, beside the view that shows it.
    """
    if not plan.path.exists():
        _require_placeable(plan)
        require_free(_addresses(plan))  # before there is a CSV, so that a sweep that cannot start leaves none
    with Results(plan.path, plan.parameters) as results:
        for said in filter(None, (results.set_aside, why_no_commit())):
            note(said)
        rows = read_measurements(plan.path)
        left = plan.left(rows)
        if left:
            note(f"{len(left)} trials into {_shown(plan.path)}; interrupted, name {plan.name} goes on")
            served = {url for each in plan.grid.combinations() for url in urls_served(each, plan.port_offset)}
            with (
                held(_addresses(plan, shared=True)),
                follow(plan, len(left), _planned_s(left), listeners, rows, resumes=True) as course,
            ):
                say_who_computes(made_up_for(plan.most_redone), *served)
                _run_rounds(plan, left, results, course)
            if plan.named:
                write_review(plan.path, str(plan))
            if course.stopped:
                return plan.path
    note(_summary(plan))
    return plan.path


def _run_rounds(plan: Plan, left: list[tuple[Trial, Factors]], results: Results, course: Course) -> None:
    """Run all trials that are left, then those that make up for invalid ones, until none is or a stop."""
    invalid = InvalidTrials()
    while left:
        for number, (trial, factors) in enumerate(left, start=1):
            if course.stopping:
                return
            begun = TrialBegun(
                name_of(factors),
                number,
                len(left),
                planned_s=seconds(factors),
                left_s=_planned_s(left[number - 1 :]),
                cell_id=trial.cell_id,
                factors=factors,
            )
            row = _run_one(plan, begun, trial, results, course)
            invalid.count(row.health.invalid_reason)
        left = plan.left(read_measurements(plan.path))
        course.left = len(left)
        if left and not course.stopping:
            note(f"{len(left)} more trials make up for invalid ones (redo_invalid {plan.most_redone})")


def _run_one(plan: Plan, begun: TrialBegun, trial: Trial, results: Results, course: Course) -> Measurement:
    assert begun.factors is not None
    course.tell(begun)
    row = run_trial(
        trial,
        begun.factors,
        plan.generators,
        port_offset=plan.port_offset,
        on_progress=course.on_progress(begun),
        keep=results.append,
    )
    course.tell(TrialEnded(begun, row))
    return row


def _planned_s(trials: Sequence[tuple[Trial, Factors]]) -> float:
    return sum(seconds(factors) for _, factors in trials)


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


def _addresses(plan: Plan, *, shared: bool = False) -> list[tuple[str, str, int]]:
    """Return name, host and port of each server of the sweep; with `shared` of those that share a held port.

    Balancers of other people, servers of gRPC and programs of one's own bind theirs alone.
    """
    wanted: dict[tuple[str, int], tuple[str, str, int]] = {}
    alone: set[tuple[str, int]] = set()
    for combination in plan.grid.combinations():
        if combination["placement"] != PlacementName.REMOTE:
            topology = topology_of(combination).shifted(plan.port_offset)
            external = combination["balancer"] not in (None, BalancerName.BUILTIN)
            balancers = {service.balancer.name for service in topology.services if service.balancer}
            programs = {i.name for service in topology.services if service.program for i in service.instances}
            for name, host, port in topology.addresses():
                wanted[host, port] = name, host, port
                binds_alone = name in programs or (external and name in balancers)
                if binds_alone or topology.protocol is ProtocolName.GRPC:
                    alone.add((host, port))
    return [address for place, address in wanted.items() if not (shared and place in alone)]
