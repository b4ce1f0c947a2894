"""Summarize the trials of one topology, against the documented figures, as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.console import Console
from rich.measure import Measurement as RichMeasurement
from rich.table import Table

from lab.expectations import Expectation, Verdict, expected_at, judge, sentence
from lab.measure.measurement import Measurement
from lab.measure.statistics import Interval, log_interval
from lab.rounding import interval_text

__all__ = ["Summary", "print_summary", "summaries"]

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Summary:
    """All trials at one concurrency. Figures are those of valid ones; an unknown interval has ends of nan."""

    concurrency: int
    trials: int
    valid: int
    failed: int
    throughput_rps: Interval
    response_time_p50_ms: Interval
    response_time_p95_ms: Interval
    invalid_reasons: tuple[str, ...]
    expected: Expectation | None
    """The documented figures for this very concurrency."""


def summaries(rows: Iterable[Measurement]) -> list[Summary]:
    """Summarize the rows of each concurrency, lowest first."""
    ordered = sorted(rows, key=_concurrency)
    return [_summary(list(group)) for _, group in groupby(ordered, key=_concurrency)]


def print_summary(topology: str, found: Sequence[Summary]) -> None:
    """Print the table, and a sentence for each verdict, in 80 columns; no figure is cut."""
    table = Table(box=None, pad_edge=False)
    for heading in ("in flight", "req/s", "p50 ms", "p95 ms", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("documented", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for summary in found:
        expected = summary.expected
        band = str(expected.throughput_rps).removesuffix(" req/s") if expected else "–"
        table.add_row(
            str(summary.concurrency),
            _figure(summary.throughput_rps, expected.throughput_rps.edges if expected else ()),
            _figure(summary.response_time_p50_ms, expected.response_time_ms.edges if expected else ()),
            _figure(summary.response_time_p95_ms),
            f"{summary.failed:,}",
            band,
            _verdict(summary),
        )
    console = Console(highlight=False, width=_width_of(table))
    console.print(table)
    for summary in found:
        for line in _sentences(topology, summary):
            console.print(line, markup=False)


def _width_of(table: Table) -> int:
    """Return 80 columns, or as many as the table takes uncut: in a pipe, there is no edge to keep to."""
    endless = Console(width=10_000)
    return max(WIDTH, RichMeasurement.get(endless, endless.options, table).maximum)


def _summary(rows: Sequence[Measurement]) -> Summary:
    valid = [row for row in rows if row.health.valid]
    outcomes = [row.outcome for row in valid]
    factors = rows[0].factors
    return Summary(
        concurrency=_concurrency(rows[0]),
        trials=len(rows),
        valid=len(valid),
        failed=sum(row.outcome.failed for row in rows),
        throughput_rps=log_interval([o.throughput_rps for o in outcomes if o.throughput_rps]),
        response_time_p50_ms=log_interval(
            [o.response_time_p50_ms for o in outcomes if o.response_time_p50_ms]
        ),
        response_time_p95_ms=log_interval(
            [o.response_time_p95_ms for o in outcomes if o.response_time_p95_ms]
        ),
        invalid_reasons=tuple(
            sorted({row.health.invalid_reason or "" for row in rows if not row.health.valid})
        ),
        expected=expected_at(factors.topology, factors.replicas, factors.concurrency),
    )


def _sentences(topology: str, summary: Summary) -> list[str]:
    lines = []
    if summary.expected:
        rps, ms = summary.throughput_rps, summary.response_time_p50_ms
        at = f"{topology.capitalize()} at {summary.concurrency} in flight"
        lines.append(sentence(f"{at}: throughput", rps.low, rps.high, summary.expected.throughput_rps))
        lines.append(
            sentence(f"{at}: median response time", ms.low, ms.high, summary.expected.response_time_ms)
        )
    if summary.invalid_reasons:
        reasons = " ".join(summary.invalid_reasons)
        invalid = summary.trials - summary.valid
        lines.append(f"{invalid} of {summary.trials} trials at {summary.concurrency} are invalid: {reasons}")
    return lines


def _verdict(summary: Summary) -> str:
    if summary.expected is None:
        return "–"
    verdict = judge(summary.throughput_rps.low, summary.throughput_rps.high, summary.expected.throughput_rps)
    colour = {Verdict.WITHIN: "green", Verdict.ABOVE: "green", Verdict.BELOW: "red"}.get(verdict, "yellow")
    return f"[{colour}]{verdict}[/{colour}]"


def _figure(interval: Interval, edges: Sequence[float] = ()) -> str:
    """Return the estimate, and below it the interval."""
    text = interval_text(interval.estimate, interval.low, interval.high, edges)
    return text.replace(" (", "\n").removesuffix(")")


def _concurrency(row: Measurement) -> int:
    return row.factors.concurrency or 0
