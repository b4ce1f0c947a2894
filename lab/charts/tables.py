"""Tables in Markdown: the verdicts on documented claims, and the figures of every cell."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

import pandas as pd

from lab.charts.findings import Claim, Finding, findings_of
from lab.charts.series import Panel, Series, panels_of
from lab.expectations import Verdict
from lab.measure.statistics import Interval, log_interval
from lab.results.counted import counted, reasons, valid
from lab.rounding import interval_text, number

__all__ = ["Table", "cells", "figure_of", "verdicts"]

_MARKS = {Verdict.WITHIN: "✓", Verdict.ABOVE: "▲", Verdict.BELOW: "▼", Verdict.UNDECIDED: "?"}


@dataclass(frozen=True, slots=True)
class Table:
    """Text in columns. A notebook renders it; `print` shows it as Markdown."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """Write the table in Markdown."""
        lines = [self.header, tuple(":--" for _ in self.header), *self.rows]
        return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)

    def _repr_markdown_(self) -> str:
        return str(self)


def verdicts(rows: pd.DataFrame) -> Table:
    """List every documented claim that the rows speak of: measured, documented, verdict."""
    found = [finding for claim in Claim for finding in findings_of(rows, claim)]
    return Table(
        ("claim", "measured", "95 % interval", "documented", "verdict"),
        tuple(_verdict(finding) for finding in found),
    )


def cells(rows: pd.DataFrame) -> Table:
    """List each cell: valid trials, throughput, mean response_time, p95, what is invalid and what disturbed.

    A percentile is the median of those trials that had enough answers to say it.
    """
    lines = [
        _cell(panel, series, x) for panel in panels_of(rows) for series in panel.series for x in series.places
    ]
    header = (
        "cell",
        "load",
        "valid trials",
        "throughput (req/s)",
        "mean response_time (ms)",
        "p95 (ms)",
        "invalid",
        "disturbed by",
    )
    return Table(header, tuple(lines))


def figure_of(interval: Interval) -> str:
    """Write an estimate and its interval with three significant digits or more: "99.1 (98.7–99.5)"."""
    return interval_text(interval.estimate, interval.low, interval.high)


def _verdict(finding: Finding) -> tuple[str, ...]:
    unit = "×" if finding.band.unit == "×" else f" {finding.band.unit}"
    estimate, low, high = finding.figures
    estimate += "" if math.isnan(finding.interval.estimate) else unit
    ends = f"{low} to {high}" if finding.interval.known else "–"
    what = f"{finding.what}, {finding.panel}" if finding.panel else finding.what
    return (what, estimate, ends, str(finding.band), f"{_MARKS[finding.verdict]} {finding.verdict}")


def _cell(panel: Panel, series: Series, x: float) -> tuple[str, ...]:
    rows = series.at(x)
    p95 = counted(rows, "response_time_p95_ms")
    return (
        ", ".join(part for part in (series.name, panel.label) if part),
        f"{series.axis} {x:g}",
        f"{int(valid(rows).sum())} of {len(rows)}",
        figure_of(log_interval(counted(rows, "throughput_rps"))),
        figure_of(log_interval(counted(rows, "response_time_mean_ms"))),
        number(statistics.median(p95)) if p95 else "–",
        ", ".join([*reasons(rows), *_blank(rows)]),
        ", ".join(_sources(rows)),
    )


def _sources(rows: pd.DataFrame) -> list[str]:
    """Tell what disturbed how many trials, and how far it may have moved a number: "others 2 (up to 8%)"."""
    if "disturbed_by" not in rows:
        return []
    told = []
    for source, of in rows.dropna(subset=["disturbed_by"]).groupby("disturbed_by"):
        share = float(of["disturbance_share"].max())
        told.append(f"{source} {len(of)} ({f'up to {share:.0%}' if share <= 1 else 'over 100%'})")
    return told


def _blank(rows: pd.DataFrame) -> list[str]:
    """Tell in how many valid rows the response_time must not be said."""
    blank = int(rows.loc[valid(rows), "response_time_mean_ms"].isna().sum())
    return [f"response_time blank {blank}"] if blank else []
