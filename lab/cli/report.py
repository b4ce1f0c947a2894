"""One row as a person reads it."""

from __future__ import annotations

from collections.abc import Mapping

from lab.arrivals import Closed
from lab.load.spec import LoadSpec
from lab.measure.measurement import Measurement
from lab.measure.percentiles import PERCENTILES
from lab.measure.statistics import Interval
from lab.measure.validity import MEANING, InvalidReason

__all__ = ["report"]


def report(spec: LoadSpec, measured: Measurement, intervals: Mapping[int, Interval]) -> str:
    """What was done, what came of it, and whether to believe it. A dash stands for what must not be said.

    `intervals` holds those of the response_time in ms, by percentile.
    """
    outcome, health = measured.outcome, measured.health
    nothing = outcome.nothing_succeeded
    lines = [("outcome", nothing)] if nothing else []
    lines += [
        ("load", f"{spec.method} {spec.url}, {_load(spec)}, {measured.factors.duration_s:g} s measured"),
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


def _load(spec: LoadSpec) -> str:
    if isinstance(spec.load, Closed):
        return f"{spec.load.concurrency} in flight"
    return f"{spec.load.requested_rate:g} req/s {spec.load.model}"


def _times(times: dict[str, float | None]) -> str:
    return "  ".join(f"{name} {_figure(value)}" for name, value in times.items()) + "  ms"


def _ends(intervals: Mapping[int, Interval]) -> str:
    told = {p: f"{_figure(each.low)}–{_figure(each.high)}" for p, each in intervals.items()}
    return "  ".join(f"p{percentile} {told.get(percentile, '–')}" for percentile in PERCENTILES) + "  ms"


def _figure(value: float | None) -> str:
    """Three significant digits, and never fewer than those before the point."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
