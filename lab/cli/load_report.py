"""Reports of one run of load: what the row says, and what no column is for.

`details_of` collects the latter; `row_text` makes a report of both for people, `row_json` for programs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.arrivals import Closed
from lab.cli.options import HINTS
from lab.load.result import LoadResult
from lab.load.spec import LoadSpec
from lab.measure.columns import TrialOutcome
from lab.measure.conditions import Condition
from lab.measure.disturbance import TOLERANCE
from lab.measure.measurement import Measurement
from lab.measure.percentiles import PERCENTILES, percentile_intervals, sample_floor
from lab.measure.statistics import Interval
from lab.measure.validity import MEANING, InvalidReason

__all__ = ["Details", "details_of", "row_json", "row_text", "say", "say_conditions", "was_disturbed"]

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


def was_disturbed(measured: Measurement) -> bool:
    """Tell whether other programs, or the generator, may have moved some number of a row too far."""
    return (measured.health.disturbance_share or 0.0) > TOLERANCE


def say(text: str, *, err: bool = False) -> None:
    """Print what was measured; on stderr where nobody reads stdout any more, so that it is not lost."""
    try:
        print(text, file=sys.stderr if err else sys.stdout, flush=True)
    except BrokenPipeError:
        print(text, file=sys.stderr)


def say_conditions(conditions: Sequence[Condition], measured: Measurement) -> bool:
    """Say on stderr which conditions of failure hold. Returns whether none does, and all can be told."""
    fails = False
    for condition in conditions:
        holds = condition.holds(measured)
        verdict = "cannot be told" if holds is None else "holds" if holds else "does not hold"
        print(f"{condition}: {verdict}" + ("" if holds is False else ", so the run fails"), file=sys.stderr)
        fails = fails or holds is not False
    return not fails


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
    before_window: bool = False
    """Whether it was before the measurement began."""
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
        before_window=loaded.before_window,
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
        "before_window": details.before_window,
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
        *_interruption(details),
        *([("outcome", _nothing(outcome, details))] if nothing else []),
        ("load", f"{spec.method} {spec.url}, {_load_text(spec)}, {_window_text(measured, details)}"),
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


def _interruption(details: Details) -> list[tuple[str, str]]:
    if not details.interrupted:
        return []
    of = "the warm-up: the measurement had not begun" if details.before_window else "the time before"
    return [("interrupted", f"so all figures are of {of}")]


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
        moved = was_disturbed(measured)
        told = {p: i for p, i in details.intervals.items() if not moved or getattr(outcome, TIMES[f"p{p}"])}
        lines.append(("95 % interval", _ends(told)))
    service = {"p50": outcome.service_time_p50_ms, "p99": outcome.service_time_p99_ms}
    lag = f"schedule_lag p99 {_figure(health.schedule_lag_p99_ms)} ms"
    flight = f"{_figure(outcome.in_flight_mean)} in flight on average"
    generator = f"{_figure(health.generator_cpu_cores)} cores, {lag}, {flight}"
    return [*lines, ("service_time", _times(service)), ("generator", generator)]


def _verdict(spec: LoadSpec, measured: Measurement, details: Details) -> list[tuple[str, str]]:
    health = measured.health
    moved = was_disturbed(measured)
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


def _window_text(measured: Measurement, details: Details) -> str:
    return f"{measured.factors.duration_s:g} s {'of warm-up' if details.before_window else 'measured'}"


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
