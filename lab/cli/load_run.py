"""One run of load on a URL: from a spec to a row, and a line in a CSV whose rows all have one target.

`load_and_print` does it all: `load_once` runs the spec, `append_row` keeps the row, and `load_report` says
what came of it.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from lab.arrivals import Closed, LoadModel
from lab.cli.load_report import details_of, row_json, row_text, say, was_disturbed
from lab.errors import LabError, ResultsError
from lab.experiment_events import Interrupts
from lab.load.result import LoadResult, Progress
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.machine import ProgramTimes, busy_programs, program_times
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.row import Servers, Trial, factors_of, histograms_of, measure
from lab.measure.trial_processes import processes_of_trial
from lab.measure.validity import InvalidReason
from lab.progress import SecondsBar, note, seconds_bar
from lab.results.csv_file import Results, require_resumable

__all__ = [
    "Output",
    "append_row",
    "cell_of",
    "load_and_print",
    "load_once",
    "show_progress",
    "written_to",
]

NAME = "load"
ASKED = (
    "load",
    "duration_s",
    "headers",
    "body",
    "max_connections",
    "connect_timeout_s",
    "read_timeout_s",
)
"""The fields of a LoadSpec that make a cell. The target is the CSV's; how it is measured does not count."""
CHANGING = (LoadModel.RAMP, LoadModel.STEPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What to do with what was measured, beside printing it."""

    csv: Path | None = None
    """Where to append the row."""
    keep_interrupted: bool = False
    """Whether to append that of a run that Ctrl-C cut short, too."""
    show_invalid: bool = False
    """Whether to print figures that are not to be believed, marked so."""
    as_json: bool = False


def load_and_print(spec: LoadSpec, output: Output) -> tuple[Measurement, LoadResult]:
    """Run the load, keep its row and print it; return the row and everything recorded.

    Raises as `load_once`, and SweepMismatch or ResultsError where the row cannot be kept: before the run, or
    else after it was printed.
    """
    if output.csv:
        require_resumable(output.csv, _parameters(spec))
    measured, loaded, others = load_once(spec)
    unwritten = None
    if output.csv and (output.keep_interrupted or not loaded.interrupted):
        try:
            measured = _kept(output.csv, spec, measured, loaded)
        except LabError as error:  # what was measured is printed all the same
            unwritten = error
    details = details_of(measured, loaded, others, show_invalid=output.show_invalid)
    if output.as_json:
        say(json.dumps(row_json(measured, details), default=datetime.isoformat))
    else:
        say(row_text(spec, measured, details))
    if unwritten:
        raise unwritten
    return measured, loaded


def _kept(path: Path, spec: LoadSpec, measured: Measurement, loaded: LoadResult) -> Measurement:
    """Append the row, unless it is of the warm-up alone."""
    if loaded.before_window:
        note(f"--csv {path} gets no row: Ctrl-C came before the measurement began")
        return measured
    return append_row(path, spec, measured, loaded)


def load_once(spec: LoadSpec) -> tuple[Measurement, LoadResult, list[str]]:
    """Run the load with a live line; return its row, everything recorded, and which programs were in the way.

    A ramp or steps are not invalid for a rate that changes. Raises as `LoadSpec.check`, before any output.
    """
    spec.check()
    total_s = spec.warmup_s + spec.duration_s
    before, begun_s = program_times(), time.monotonic()
    with seconds_bar(total_s) as bar:

        def progress(so_far: Progress) -> None:
            show_progress(bar, so_far, total_s)

        watch = MachineWatch(progress, spec.url)
        with Interrupts() as interrupts:
            loaded = run(spec, on_progress=watch, stop=lambda: interrupts.asked)
        bar.finish(total_s)
    planned = {InvalidReason.NOT_STEADY} if spec.load.model in CHANGING else set()
    trial = Trial(NAME, cell_of(spec))
    servers = Servers(contention=watch.contention(loaded))
    measured = measure(trial, factors_of(spec), loaded, servers, exempt=planned)
    others = _others(spec, before, time.monotonic() - begun_s) if was_disturbed(measured) else []
    return measured, loaded, others


def _others(spec: LoadSpec, before: ProgramTimes, seconds: float) -> list[str]:
    """Name the programs that computed meanwhile, but for the generator and a server of this machine."""
    return busy_programs(before, program_times(), seconds, processes_of_trial(spec.url))


def cell_of(spec: LoadSpec) -> str:
    """Return the name of the cell that a run of `spec` belongs to: its load, and a hash of its fields."""
    level = spec.load.concurrency if isinstance(spec.load, Closed) else spec.load.requested_rate
    asked = spec.to_json()
    facts = json.dumps({name: asked[name] for name in ASKED}, sort_keys=True)
    digest = hashlib.sha256(facts.encode()).hexdigest()
    return f"{spec.load.model}-{level:.6g}-{spec.duration_s:g}s-{digest[:8]}"


def show_progress(bar: SecondsBar, so_far: Progress, planned_s: float) -> None:
    """Show on the bar how many requests were answered, failed and are in flight."""
    bar.say(f"{so_far.succeeded:,} answered, {so_far.failed:,} failed, {so_far.in_flight:,} in flight")
    bar.within(so_far.elapsed_s / so_far.total_s * planned_s, planned_s)


def append_row(path: Path, spec: LoadSpec, measured: Measurement, loaded: LoadResult) -> Measurement:
    """Append the row as one more trial of its cell; return it as written.

    Raises SweepMismatch if the CSV holds rows of another target, ResultsError where it cannot be written.
    """
    with written_to(path), Results(path, _parameters(spec)) as results:
        if results.set_aside:
            note(results.set_aside)
        cell = measured.what.cell_id
        number = 1 + max((trial for name, trial in results.done if name == cell), default=0)
        measured = replace(measured, what=replace(measured.what, sweep_id=path.stem, trial=number))
        results.append(measured, histograms_of(loaded))
    return measured


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Raise ResultsError, naming the CSV, for an OSError of what is done inside."""
    try:
        yield
    except OSError as error:
        raise ResultsError(
            f"--csv {path} cannot be written ({error.strerror}): the row is only in what is printed"
        ) from error


def _parameters(spec: LoadSpec) -> dict[str, Any]:
    return {"url": spec.url, "method": spec.method}
