"""Runs a plan: trial after trial, each a row in the CSV as soon as it is measured."""

from __future__ import annotations

from pathlib import Path

from lab.load.result import Progress
from lab.measure.reading import Trial as Repetition
from lab.results import Results
from lab.sweep.plan import Plan, Trial, seconds
from lab.sweep.progress import SecondsBar, seconds_bar
from lab.sweep.trial import run_trial

__all__ = ["run_sweep"]


def run_sweep(plan: Plan) -> Path:
    """Run what the plan has and the CSV has not, and return the path of the CSV.

    Every row is on the disk before the next trial starts: an interrupted sweep keeps what it has, and goes
    on where it stopped when a plan of the same name and parameters is run. Raises SweepMismatch if the name
    is that of a sweep with other parameters, PortInUse, StartFailed, and whatever loading raises.
    """
    with Results(plan.path, plan.parameters) as results:
        left = [trial for trial in plan.order() if (trial.cell_id, trial.number) not in results.done]
        with seconds_bar(sum(seconds(trial.factors) for trial in left)) as bar:
            for place, trial in enumerate(left, start=1):
                bar.say(f"trial {place} of {len(left)}: {_name(trial)}")
                _one(plan, trial, results, bar)
    return plan.path


def _one(plan: Plan, trial: Trial, results: Results, bar: SecondsBar) -> None:
    planned_s = seconds(trial.factors)

    def show(progress: Progress) -> None:
        bar.within(progress.elapsed_s, planned_s)

    repetition = Repetition(plan.name, trial.cell_id, trial.number)
    row, histograms = run_trial(repetition, trial.factors, port_offset=plan.port_offset, on_progress=show)
    results.append(row, histograms)
    bar.finish(planned_s)


def _name(trial: Trial) -> str:
    load = trial.factors.concurrency or f"{trial.factors.requested_rate:g}/s"
    return f"{trial.factors.topology} at {load}"
