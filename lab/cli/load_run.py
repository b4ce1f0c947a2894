"""One run of load on a URL: from the options that were typed to a spec, a row, a line in a CSV and a report.

The functions `read_…` turn options into what a LoadSpec takes; `load_once` runs the spec; `append_row` keeps
the row in a CSV whose rows all have one target; `row_text` prints it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson, Ramp, Steps
from lab.cli.options import MOST_BYTES
from lab.errors import BadParameter, ResultsError
from lab.load.result import LoadResult, Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.measurement import Measurement
from lab.measure.percentiles import PERCENTILES
from lab.measure.row import Trial, factors_of, histograms_of, measure
from lab.measure.statistics import Interval
from lab.measure.validity import MEANING, InvalidReason
from lab.progress import SecondsBar, note, seconds_bar
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
    "row_text",
    "say",
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
"""The fields of a LoadSpec that make a cell. The target is the CSV's; how it is measured does not count."""
CHANGING = (LoadModel.RAMP, LoadModel.STEPS)


def load_once(spec: LoadSpec) -> tuple[Measurement, LoadResult]:
    """Run the load with a live line; return its row and everything recorded.

    A ramp or steps are not invalid for a rate that changes. Raises as `LoadSpec.check`, before any output.
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


def require_csv(path: Path, spec: LoadSpec) -> None:
    """Check before the run that `append_row` can write to `path`. Raises BadParameter or ResultsError."""
    require_writable(path)
    require_resumable(path, _parameters(spec))


def require_writable(path: Path) -> None:
    """Check that a CSV and its sidecar can be written at `path`. Raises BadParameter."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise BadParameter(f"--csv {path} is no regular file: name one, such as mine.csv")
    if path.exists() and not os.access(path, os.W_OK):
        raise BadParameter(f"--csv {path} cannot be written: see its permissions, or name another")
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
    """Append the row as one more trial of its cell; return it as written.

    Raises SweepMismatch if the CSV holds rows of another target, ResultsError where it cannot be written.
    """
    try:
        return _appended(path, spec, measured, loaded)
    except OSError as error:
        raise ResultsError(
            f"--csv {path} cannot be written ({error.strerror}): the row is only in what is printed"
        ) from error


def _appended(path: Path, spec: LoadSpec, measured: Measurement, loaded: LoadResult) -> Measurement:
    with Results(path, _parameters(spec)) as results:
        if results.set_aside:
            note(results.set_aside)
        cell = measured.what.cell_id
        number = 1 + max((trial for name, trial in results.done if name == cell), default=0)
        measured = replace(measured, what=replace(measured.what, sweep_id=path.stem, trial=number))
        results.append(measured, histograms_of(loaded))
    return measured


def _parameters(spec: LoadSpec) -> dict[str, Any]:
    return {"url": spec.url, "method": spec.method}


def say(text: str, *, err: bool = False) -> None:
    """Print what was measured; on stderr where nobody reads stdout any more, so that it is not lost."""
    try:
        print(text, file=sys.stderr if err else sys.stdout, flush=True)
    except BrokenPipeError:
        print(text, file=sys.stderr)


def row_text(spec: LoadSpec, measured: Measurement, intervals: Mapping[int, Interval]) -> str:
    """Describe a row for a person: what was done, what came of it, and whether to believe it.

    A dash stands for a figure that is unknown or must not be said. `intervals` are the 95 % intervals of the
    response_time in ms, by percentile.
    """
    outcome, health = measured.outcome, measured.health
    nothing = outcome.nothing_succeeded
    lines = [("outcome", nothing)] if nothing else []
    lines += [
        ("load", f"{spec.method} {spec.url}, {_load_text(spec)}, {measured.factors.duration_s:g} s measured"),
        ("throughput", f"{_figure(outcome.throughput_rps)} req/s"),
        (
            "requests",
            f"{outcome.succeeded:,} succeeded, {outcome.failed:,} failed, {outcome.dropped:,} dropped",
        ),
    ]
    if outcome.failures and not nothing:
        lines.append(("failures", outcome.failures))
    times = {
        "mean": outcome.response_time_mean_ms,
        "p50": outcome.response_time_p50_ms,
        "p90": outcome.response_time_p90_ms,
        "p95": outcome.response_time_p95_ms,
        "p99": outcome.response_time_p99_ms,
        "p99.9": outcome.response_time_p99_9_ms,
        "max": outcome.response_time_max_ms,
    }
    lines += [
        ("response_time", _times(times)),
        *([("95 % interval", _ends(intervals))] if health.valid else []),
        ("service_time", _times({"p50": outcome.service_time_p50_ms, "p99": outcome.service_time_p99_ms})),
        (
            "generator",
            f"{_figure(health.generator_cpu_cores)} cores, "
            f"schedule_lag p99 {_figure(health.schedule_lag_p99_ms)} ms, "
            f"{_figure(outcome.in_flight_mean)} in flight on average",
        ),
        ("verdict", "valid" if health.valid else f"invalid, so no latency is given: {health.invalid_reason}"),
    ]
    if not nothing:
        lines += [("", _advice(spec, InvalidReason(name))) for name in (health.invalid_reason or "").split()]
    return "\n".join(f"{name:<14}{text}" for name, text in lines)


def _advice(spec: LoadSpec, reason: InvalidReason) -> str:
    is_open = not isinstance(spec.load, Closed)
    more = (
        ", or allow more in flight (--concurrency)"
        if is_open and reason is InvalidReason.RATE_NOT_ACHIEVED
        else ""
    )
    return f"{reason}: {MEANING[reason]}{more}"


def _load_text(spec: LoadSpec) -> str:
    if isinstance(spec.load, Closed):
        return f"{spec.load.concurrency} in flight"
    return f"{spec.load.requested_rate:g} req/s {spec.load.model}"


def _times(times: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {_figure(value)}" for name, value in times.items()) + "  ms"


def _ends(intervals: Mapping[int, Interval]) -> str:
    told = {p: f"{_figure(each.low)}–{_figure(each.high)}" for p, each in intervals.items()}
    return "  ".join(f"p{percentile} {told.get(percentile, '–')}" for percentile in PERCENTILES) + "  ms"


def _figure(value: float | None) -> str:
    """Format with three significant digits, and with every digit before the point."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def read_load(
    model: LoadModel | None, rate: str | None, concurrency: int | None, think_time_s: float
) -> Load:
    """Return the load that was typed: closed without a rate, constant with one, unless a model is named.

    `concurrency` counts for a closed loop only; in an open one it bounds the connections. Raises BadParameter
    for options that exclude each other.
    """
    model = model or (LoadModel.CLOSED if rate is None else LoadModel.CONSTANT)
    if model is LoadModel.CLOSED:
        if rate is not None:
            raise BadParameter("--rate does not go with a closed loop: its answers make its rate")
        return Closed(concurrency or 1, think_time_s)
    if think_time_s:
        raise BadParameter(
            f"--think-time does not go with --arrivals {model}: no request waits for an answer"
        )
    if rate is None:
        raise BadParameter(f"--arrivals {model} needs a --rate, in requests a second")
    return _open(model, _rates(rate))


def read_headers(headers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of `Name: value` lines. Raises BadParameter for any other line."""
    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise BadParameter(f"--header {header!r} is no header: write it as 'Name: value'")
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def read_body(file: Path | None, text: str | None, payload_bytes: int | None) -> PipelineBody | bytes | None:
    """Return what to send: the bytes of a file or of a text, a body for the pipeline, or None.

    Raises BadParameter for more than one of them, and for a file that cannot be read or is too large.
    """
    named = {"--body": file, "--body-text": text, "--payload-bytes": payload_bytes}
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise BadParameter(f"{' and '.join(given)} exclude each other: give one")
    if payload_bytes is not None:
        return PipelineBody(payload_bytes)
    if text is not None:
        return text.encode(errors="surrogateescape")
    return _content(file) if file is not None else None


def _content(file: Path) -> bytes:
    try:
        if file.is_char_device():  # /dev/zero never ends
            raise BadParameter(f"--body {file} is a device: name a file, or send a text with --body-text")
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadParameter(f"--body {file} cannot be read ({error.strerror}): {_meant(str(file))}") from error
    if len(content) > MOST_BYTES:
        raise BadParameter(f"--body {file} is too large: a body has at most {MOST_BYTES:,} bytes")
    return content


def _meant(name: str) -> str:
    """Return what to do about a name that is no file: it may be the body itself, or as curl names files."""
    if name.startswith("@"):
        return f"write {name[1:]}, without the @"
    looks = name.lstrip()[:1] in ("{", "[", '"') or "=" in name
    return "send a text itself with --body-text" if looks else "name a file, or send a text with --body-text"


def read_cpus(text: str | None) -> tuple[int, ...]:
    """Return the cores in a text such as `1` or `2,3`. Raises BadParameter for any other text."""
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
