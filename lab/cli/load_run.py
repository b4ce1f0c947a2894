"""One run of load on one URL, and the CSV that rows of such runs are kept in.

From what a person types about a URL and a load to the spec that a generator takes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson, Ramp, Steps
from lab.errors import BadParameter
from lab.load.result import LoadResult, Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.measurement import Measurement
from lab.measure.row import Trial, factors_of, histograms_of, measure
from lab.measure.validity import InvalidReason
from lab.progress import SecondsBar, seconds_bar
from lab.results.csv_file import Results, require_resumable
from lab.results.sidecar import Sidecar

__all__ = [
    "append_row",
    "cell_of",
    "load_once",
    "read_body",
    "read_cpus",
    "read_headers",
    "read_load",
    "require_csv",
    "require_writable",
    "show_progress",
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
"""What makes a cell, beside the target, which is the CSV's. How it is measured does not."""
CHANGING = (LoadModel.RAMP, LoadModel.STEPS)


def load_once(spec: LoadSpec) -> tuple[Measurement, LoadResult]:
    """Run it with a live line, and give its row and all that was recorded. A rate meant to change may.

    Raises as `LoadSpec.check` does, before there is a line.
    """
    spec.check()
    total_s = spec.warmup_s + spec.duration_s
    with seconds_bar(total_s) as bar:

        def progress(so_far: Progress) -> None:
            show_progress(bar, so_far, total_s)

        loaded = run(spec, on_progress=progress)
        bar.finish(total_s)
    planned = {InvalidReason.NOT_STEADY} if spec.load.model in CHANGING else set()
    trial = Trial(NAME, cell_of(spec))
    return measure(trial, factors_of(spec), loaded, exempt=planned), loaded


def cell_of(spec: LoadSpec) -> str:
    """The cell that a run of this belongs to: a name of the load, told apart by all that was asked for."""
    level = spec.load.concurrency if isinstance(spec.load, Closed) else spec.load.requested_rate
    asked = spec.to_json()
    facts = json.dumps({name: asked[name] for name in ASKED}, sort_keys=True)
    digest = hashlib.sha256(facts.encode()).hexdigest()
    return f"{spec.load.model}-{level:.6g}-{spec.duration_s:g}s-{digest[:8]}"


def show_progress(bar: SecondsBar, so_far: Progress, planned_s: float) -> None:
    """What has been answered, what failed and what is under way, on the bar's line."""
    bar.say(f"{so_far.succeeded:,} answered, {so_far.failed:,} failed, {so_far.in_flight:,} in flight")
    bar.within(so_far.elapsed_s / so_far.total_s * planned_s, planned_s)


def require_csv(path: Path, spec: LoadSpec) -> None:
    """What `append_row` would find there, before there is a row: raises ResultsError, or BadParameter."""
    require_writable(path)
    require_resumable(path, _parameters(spec))


def require_writable(path: Path) -> None:
    """Raises BadParameter where no CSV of that name can be, with its sidecar beside it."""
    if path.is_dir():
        raise BadParameter(f"--csv {path} is a directory: name a file in it, such as {path / 'mine.csv'}")
    if Sidecar.path_for(path) == path:
        raise BadParameter(
            f"--csv {path} has the name of its own sidecar: name the CSV {path.with_suffix('.csv')}"
        )
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise BadParameter(
            f"--csv {path} cannot be written: make the directory {path.parent}, or name another"
        )


def append_row(path: Path, spec: LoadSpec, measured: Measurement, loaded: LoadResult) -> Measurement:
    """Append the row as one more trial of its cell, and return it as written.

    A CSV holds rows of one target: raises SweepMismatch for a row of another.
    """
    with Results(path, _parameters(spec)) as results:
        cell = measured.what.cell_id
        number = 1 + max((trial for name, trial in results.done if name == cell), default=0)
        measured = replace(measured, what=replace(measured.what, sweep_id=path.stem, trial=number))
        results.append(measured, histograms_of(loaded))
    return measured


def _parameters(spec: LoadSpec) -> dict[str, Any]:
    return {"url": spec.url, "method": spec.method}


def read_load(
    model: LoadModel | None, rate: str | None, concurrency: int | None, think_time_ms: float
) -> Load:
    """The load: closed unless a rate is given, then constant unless a model is named.

    `concurrency` is of a closed loop; that of an open one bounds its connections, which are not of its load.
    Raises BadParameter where one does not go with the other.
    """
    model = model or (LoadModel.CONSTANT if rate else LoadModel.CLOSED)
    if model is LoadModel.CLOSED:
        if rate:
            raise BadParameter("--rate does not go with a closed loop: its answers make its rate")
        return Closed(concurrency or 1, think_time_ms / 1000)
    if think_time_ms:
        raise BadParameter(f"--think-time does not go with --arrivals {model}: nobody waits for an answer")
    if not rate:
        raise BadParameter(f"--arrivals {model} needs a --rate, in requests a second")
    return _open(model, _rates(rate))


def read_headers(headers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs from `Name: value`. Raises BadParameter for what is none."""
    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise BadParameter(f"--header {header!r} is none: write it as 'Name: value'")
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def read_body(file: Path | None, payload_bytes: int | None) -> PipelineBody | bytes | None:
    """What to send: a file's bytes, or a body as the pipeline takes it, or nothing."""
    if payload_bytes is not None:
        if file is not None:
            raise BadParameter("--body and --payload-bytes exclude each other: give one")
        return PipelineBody(payload_bytes)
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise BadParameter(f"--body {file} cannot be read: {error.strerror}") from error


def read_cpus(text: str | None) -> tuple[int, ...]:
    """Cores from `1` or `2,3`. Raises BadParameter for what is none."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise BadParameter(f"--cpu is {text!r}: give numbers of cores, as in 1 or 2,3") from None


def _open(model: LoadModel, rates: tuple[float, ...]) -> Load:
    match model, rates:
        case LoadModel.STEPS, _:
            return Steps(rates)
        case LoadModel.RAMP, (first, last):
            return Ramp(first, last)
        case LoadModel.POISSON, (rate,):
            return Poisson(rate)
        case LoadModel.CONSTANT, (rate,):
            return Constant(rate)
    wanted = "two rates, as in 100,500" if model is LoadModel.RAMP else "one rate, as in 200"
    raise BadParameter(f"--arrivals {model} takes {wanted}, and got {len(rates)}")


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadParameter(f"--rate is {text!r}: give requests a second, as in 200, or 100,500") from None
