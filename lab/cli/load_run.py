"""One run of load on a URL: from a spec to a row, a line in a CSV and a report.

`load_once` runs the spec; `append_row` keeps the row in a CSV whose rows all have one target; `details_of`
collects what no column is for, and `row_text` or `row_json` make a report of both.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.arrivals import Closed, LoadModel
from lab.cli.options import HINTS
from lab.errors import BadParameter, ResultsError
from lab.load.requests import split_url
from lab.load.result import LoadResult, Progress
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.machine import ProgramTimes, busy_programs, processes_of_trial, program_times
from lab.measure.columns import TrialOutcome
from lab.measure.disturbance import TOLERANCE
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.percentiles import PERCENTILES, percentile_intervals, sample_floor
from lab.measure.row import Servers, Trial, factors_of, histograms_of, measure
from lab.measure.statistics import Interval
from lab.measure.validity import MEANING, InvalidReason
from lab.progress import SecondsBar, note, seconds_bar
from lab.results.csv_file import Results, require_resumable
from lab.results.sidecar import Sidecar

__all__ = [
    "Details",
    "append_row",
    "cell_of",
    "details_of",
    "load_once",
    "require_csv",
    "require_writable",
    "row_json",
    "row_text",
    "say",
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


TIMES = {
    "mean": "response_time_mean_ms",
    "p50": "response_time_p50_ms",
    "p90": "response_time_p90_ms",
    "p95": "response_time_p95_ms",
    "p99": "response_time_p99_ms",
    "p99.9": "response_time_p99_9_ms",
    "max": "response_time_max_ms",
}
"""The columns of response_time, by what a report calls them."""


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
        with _ctrl_c() as came:
            loaded = run(spec, on_progress=watch, stop=came)
        bar.finish(total_s)
    planned = {InvalidReason.NOT_STEADY} if spec.load.model in CHANGING else set()
    trial = Trial(NAME, cell_of(spec))
    servers = Servers(contention=watch.contention(loaded))
    measured = measure(trial, factors_of(spec), loaded, servers, exempt=planned)
    moved = (measured.health.disturbance_share or 0.0) > TOLERANCE
    others = _others(spec, before, time.monotonic() - begun_s) if moved else []
    return measured, loaded, others


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Return a function that tells whether Ctrl-C came, which then raises nothing unless it comes again."""
    came = threading.Event()

    def note_it(*_: object) -> None:
        if came.is_set():
            raise KeyboardInterrupt
        came.set()

    before = signal.signal(signal.SIGINT, note_it)
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _others(spec: LoadSpec, before: ProgramTimes, seconds: float) -> list[str]:
    """Name the programs that computed meanwhile, but for the generator and a server of this machine."""
    parts = split_url(spec.url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return busy_programs(before, program_times(), seconds, processes_of_trial(port))


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


def say(text: str, *, err: bool = False) -> None:
    """Print what was measured; on stderr where nobody reads stdout any more, so that it is not lost."""
    try:
        print(text, file=sys.stderr if err else sys.stdout, flush=True)
    except BrokenPipeError:
        print(text, file=sys.stderr)


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What a report says beside the row."""

    intervals: Mapping[int, Interval] = field(default_factory=dict)
    """The 95 % intervals of the response_time in ms, by percentile."""
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Successes by outcome."""
    outside: Mapping[str, int] = field(default_factory=dict)
    """Failures of the whole run, where the window has none of their class."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What the first failure of each class was about."""
    shortage: str | None = None
    interrupted: bool = False
    others: Sequence[str] = ()
    """Programs that were in the way."""
    doubtful: Mapping[str, float | None] = field(default_factory=dict)
    """Response times in ms by name, which are not to be believed and were asked for all the same."""
    doubtful_rps: float | None = None
    """The throughput, where that is so of it."""


def details_of(
    measured: Measurement, loaded: LoadResult, others: Sequence[str] = (), *, show_invalid: bool = False
) -> Details:
    """Return what a run has to say beside its row."""
    window = loaded.failures
    return Details(
        intervals=percentile_intervals(loaded),
        statuses=loaded.statuses,
        outside={name: n for name, n in loaded.failures_in_all.items() if name not in window},
        errors=loaded.errors,
        shortage=loaded.shortage,
        interrupted=loaded.interrupted,
        others=others,
        doubtful=_doubtful(measured.outcome, loaded) if show_invalid else {},
        doubtful_rps=loaded.throughput_rps
        if show_invalid and measured.outcome.throughput_rps is None
        else None,
    )


def _doubtful(outcome: TrialOutcome, loaded: LoadResult) -> dict[str, float | None]:
    """Return what was seen of the response times that the row leaves out, where enough answers tell."""
    times = loaded.window.response_time
    if not len(times):
        return {}
    told = [p for p in (50, 90, 95, 99, 99.9) if len(times) >= sample_floor(p / 100)]
    shares = {f"p{p:g}": times.percentile_ns(p) / 1e6 for p in told}
    seen = {"mean": times.mean_ns / 1e6, **shares, "max": times.max_ns / 1e6}
    return {name: value for name, value in seen.items() if getattr(outcome, TIMES[name]) is None}


def row_json(measured: Measurement, details: Details) -> dict[str, Any]:
    """Return the row's columns, and what else there is to say that no column is for."""
    more = {
        "statuses": dict(details.statuses),
        "errors": dict(details.errors),
        "shortage": details.shortage,
        "interrupted": details.interrupted,
        "other_programs": list(details.others),
        "not_to_be_believed": {TIMES[name]: value for name, value in details.doubtful.items()}
        | ({"throughput_rps": details.doubtful_rps} if _known(details.doubtful_rps) else {}),
    }
    return {**measured.row(), **{name: value for name, value in more.items() if value}}


def row_text(spec: LoadSpec, measured: Measurement, details: Details) -> str:
    """Describe a row for a person: what was done, what came of it, and whether to believe it.

    A dash stands for a figure that is unknown or must not be said.
    """
    outcome = measured.outcome
    nothing = outcome.nothing_succeeded
    lines = [
        *([("interrupted", "so all figures are of the time before")] if details.interrupted else []),
        *([("outcome", _nothing(outcome, details))] if nothing else []),
        ("load", f"{spec.method} {spec.url}, {_load_text(spec)}, {measured.factors.duration_s:g} s measured"),
        ("throughput", "none" if nothing else f"{_figure(outcome.throughput_rps)} req/s"),
        (
            "requests",
            f"{outcome.succeeded:,} succeeded, {outcome.failed:,} failed, {outcome.dropped:,} dropped",
        ),
        *_reasons(outcome, details),
        *([] if nothing else _timing(measured, details)),
        *_verdict(spec, measured, details),
    ]
    return "\n".join(f"{name:<14}{text}" for name, text in lines)


def _nothing(outcome: TrialOutcome, details: Details) -> str:
    """Say that nothing succeeded, and of what it failed, if need be outside of what was measured."""
    if outcome.failures or not details.outside:
        return outcome.nothing_succeeded or ""
    classes = ", ".join(f"{name} ×{count}" for name, count in details.outside.items())
    return f"nothing succeeded: {classes} before or after what was measured"


def _reasons(outcome: TrialOutcome, details: Details) -> list[tuple[str, str]]:
    """Say which statuses and failures there were, what the failures were about, and what to do."""
    lines = []
    if any(name != "http_200" for name in details.statuses):
        lines.append(("statuses", _counts(details.statuses)))
    if outcome.failures and not outcome.nothing_succeeded:
        lines.append(("failures", outcome.failures))
    if details.outside and not outcome.nothing_succeeded:
        lines.append(("outside", f"{_counts(details.outside)} before or after what was measured"))
    lines += [("", f"{name}: {text}") for name, text in details.errors.items()]
    seen = {
        *details.statuses,
        *details.outside,
        *(each.split("=")[0] for each in (outcome.failures or "").split()),
    }
    lines += [("", f"{name}: {hint}") for name, hint in HINTS.items() if name in seen]
    return lines + ([("own limits", details.shortage)] if details.shortage else [])


def _timing(measured: Measurement, details: Details) -> list[tuple[str, str]]:
    outcome, health = measured.outcome, measured.health
    lines = [("response_time", _times({name: getattr(outcome, column) for name, column in TIMES.items()}))]
    if _known(details.doubtful_rps):
        lines.insert(0, ("not believed", f"{_figure(details.doubtful_rps)} req/s"))
    if details.doubtful:
        lines.append(("not believed", _times(details.doubtful)))
    if health.valid:
        moved = (health.disturbance_share or 0.0) > TOLERANCE
        told = {p: i for p, i in details.intervals.items() if not moved or getattr(outcome, TIMES[f"p{p}"])}
        lines.append(("95 % interval", _ends(told)))
    service = {"p50": outcome.service_time_p50_ms, "p99": outcome.service_time_p99_ms}
    lag = f"schedule_lag p99 {_figure(health.schedule_lag_p99_ms)} ms"
    flight = f"{_figure(outcome.in_flight_mean)} in flight on average"
    generator = f"{_figure(health.generator_cpu_cores)} cores, {lag}, {flight}"
    return [*lines, ("service_time", _times(service)), ("generator", generator)]


def _verdict(spec: LoadSpec, measured: Measurement, details: Details) -> list[tuple[str, str]]:
    health = measured.health
    moved = (health.disturbance_share or 0.0) > TOLERANCE
    if health.valid:
        lines = [("verdict", "valid; what other programs may have moved is left out" if moved else "valid")]
    else:
        given = "what is not believed may be wrong" if details.doubtful else "no latency is given"
        lines = [("verdict", f"invalid, so {given}: {health.invalid_reason}")]
    if not measured.outcome.nothing_succeeded:
        reasons = (health.invalid_reason or "").split()
        lines += [("", _advice(spec, InvalidReason(name))) for name in reasons]
        if details.others:
            lines.append(("", f"others: {', '.join(details.others)} computed meanwhile"))
        if not details.doubtful and (moved or not health.valid):
            lines.append(("", "--show-invalid prints what was seen all the same"))
    return lines


def _known(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _counts(outcomes: Mapping[str, int]) -> str:
    return " ".join(f"{name}={count}" for name, count in outcomes.items())


def _advice(spec: LoadSpec, reason: InvalidReason) -> str:
    widens = reason is InvalidReason.RATE_NOT_ACHIEVED and not isinstance(spec.load, Closed)
    return f"{reason}: {MEANING[reason]}" + (", or allow more in flight (--concurrency)" if widens else "")


def _load_text(spec: LoadSpec) -> str:
    if isinstance(spec.load, Closed):
        return f"{spec.load.concurrency} in flight"
    return f"{spec.load.requested_rate:g} req/s {spec.load.model}"


def _times(times: Mapping[str, float | None]) -> str:
    return "  ".join(f"{name} {_figure(value)}" for name, value in times.items()) + "  ms"


def _ends(intervals: Mapping[int, Interval]) -> str:
    told = {p: f"{_figure(each.low)}–{_figure(each.high)}" for p, each in intervals.items()}
    return "  ".join(f"p{percentile} {told.get(percentile, '–')}" for percentile in PERCENTILES) + "  ms"


def _figure(value: float | None) -> str:
    """Format with three significant digits, and with every digit before the point."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
