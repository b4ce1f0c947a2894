"""Compare the same cells of two results: one is called better only where enough trials show it.

Beside the cells: what differs in where the two results come from, in plain words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from statistics import mean, median

import pandas as pd

from lab.compare.cells import Key, Pairing, Sides
from lab.errors import BadParameter, ResultsError
from lab.measure.statistics import (
    Interval,
    geometric_mean,
    holm,
    mann_whitney_p,
    ratio_interval,
    smallest_p,
)
from lab.results.frame import read, require_cells_apart, require_columns
from lab.results.sidecar import Provenance, Sidecar

__all__ = [
    "LEVEL",
    "CellComparison",
    "Change",
    "Comparison",
    "Metric",
    "compare",
    "compare_files",
    "differences",
    "finding_of",
]


def differences(a: Sidecar, b: Sidecar) -> list[str]:
    """Return sentences on what differs between two sidecars; none if nothing recorded does.

    A sweep of several sessions counts with all of them.
    """
    return [*_of_trees(a, b), *_of_machines(a, b), *_of_software(a, b), *_of_parameters(a, b)]


def _of_trees(a: Sidecar, b: Sidecar) -> Iterator[str]:
    of_a, of_b = (_told(_commit(p) for p in sidecar.provenance) for sidecar in (a, b))
    if of_a != of_b:
        yield f"Commit: {of_a} in A, {of_b} in B."
    for name, sidecar in (("A", a), ("B", b)):
        if any(p.dirty for p in sidecar.provenance):
            yield f"{name} was made with changes that are in no commit: its commit does not tell what ran."


def _of_machines(a: Sidecar, b: Sidecar) -> Iterator[str]:
    same = True
    for what, tell in (
        ("Processor", lambda p: f"{p.cpu_model}, {p.cpu_count} usable"),
        ("Memory", lambda p: f"{p.memory_mb / 1024:.0f} GB"),
        ("System", lambda p: p.system),
    ):
        of_a, of_b = _told(map(tell, a.provenance)), _told(map(tell, b.provenance))
        if of_a != of_b:
            same = False
            yield f"{what}: {of_a} in A, {of_b} in B."
    if not same:
        yield "The machines differ, so a difference in the figures need not come from the code."


def _of_software(a: Sidecar, b: Sidecar) -> Iterator[str]:
    for what, tell in (
        ("Python", lambda p: p.python),
        ("Event loop", lambda p: p.event_loop),
        ("Parser", lambda p: p.parser),
    ):
        of_a, of_b = _told(map(tell, a.provenance)), _told(map(tell, b.provenance))
        if of_a != of_b:
            yield f"{what}: {of_a} in A, {of_b} in B."
    for package in sorted({n for s in (a, b) for p in s.provenance for n in p.packages}):
        of_a, of_b = (_told(p.packages.get(package, "not installed") for p in s.provenance) for s in (a, b))
        if of_a != of_b:
            yield f"{package}: {of_a} in A, {of_b} in B."


def _of_parameters(a: Sidecar, b: Sidecar) -> Iterator[str]:
    for name in sorted({*a.parameters, *b.parameters}):
        of_a, of_b = a.parameters.get(name), b.parameters.get(name)
        if of_a != of_b:
            yield f"Parameter {name}: {of_a} in A, {of_b} in B."


def _commit(provenance: Provenance) -> str:
    return (provenance.commit or "unknown")[:10]


def _told(facts: Iterable[str]) -> str:
    """Return each fact once, in order."""
    return " and ".join(dict.fromkeys(facts))


LEVEL = 0.05
"""The chance of any false alarm among all cells together."""


class Metric(StrEnum):
    """A figure that can be compared, by its column."""

    THROUGHPUT = "throughput_rps"
    RESPONSE_TIME_MEAN = "response_time_mean_ms"
    RESPONSE_TIME_P50 = "response_time_p50_ms"
    RESPONSE_TIME_P90 = "response_time_p90_ms"
    RESPONSE_TIME_P95 = "response_time_p95_ms"
    RESPONSE_TIME_P99 = "response_time_p99_ms"

    @property
    def more_is_better(self) -> bool:
        """Whether a ratio above 1 is an improvement."""
        return self is Metric.THROUGHPUT


class Change(StrEnum):
    """What a cell of B is, compared with A."""

    BETTER = "better"
    WORSE = "worse"
    NOTHING_SUCCEEDED = "nothing succeeded"
    """No request of any trial of B succeeded, where in A some did: there is no figure to compare."""
    FAILS_MORE = "fails more"
    """In every trial of B a larger share of requests failed than in any of A, by more than the threshold."""
    NO_DIFFERENCE_SHOWN = "no difference shown"
    TOO_FEW_TRIALS = "too few trials"
    """Even if every trial of one side beat every trial of the other, no difference would show."""

    @property
    def is_regression(self) -> bool:
        """Whether B is worse than A in this way."""
        return self in (Change.WORSE, Change.NOTHING_SUCCEEDED, Change.FAILS_MORE)


def finding_of(
    ratio: float, p: float, failed: tuple[Sequence[float], Sequence[float]], metric: Metric, threshold: float
) -> Change:
    """Return what a cell shows. Failures come first: beside them the speed of the rest tells nothing.

    `ratio` is B over A, `p` corrected, nan where too few trials could tell; `failed` holds the share of the
    requests that failed in each trial of A and of B.
    """
    in_a, in_b = failed
    if min(in_b) == 1 > min(in_a):
        return Change.NOTHING_SUCCEEDED
    if min(in_b) > max(in_a) + threshold:
        return Change.FAILS_MORE
    if math.isnan(p):
        return Change.TOO_FEW_TRIALS
    if p >= LEVEL or abs(math.log(ratio)) <= math.log1p(threshold):
        return Change.NO_DIFFERENCE_SHOWN
    return Change.BETTER if (ratio > 1) == metric.more_is_better else Change.WORSE


THRESHOLD = 0.05
"""How far a ratio must lie from 1. Trials of one sweep share a sitting, so their scatter does not show what
changes from one sitting to the next: a machine a few per cent slower would pass for a regression."""


@dataclass(frozen=True, slots=True)
class CellComparison:
    """One cell, A against B, over their valid trials."""

    label: str
    trials_a: int
    trials_b: int
    median_a: float
    median_b: float
    ratio: Interval
    """Ratio of B to A, of geometric means."""
    p: float
    """The p-value of Mann and Whitney's U, corrected for the number of cells; nan with too few trials."""
    finding: Change
    failed_a: float = 0.0
    """Share of the requests that failed, on average over all trials, valid or not."""
    failed_b: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results, A and B, in one metric."""

    metric: Metric
    threshold: float
    cells: tuple[CellComparison, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    changed: Mapping[str, tuple[str, str]]
    """Levels of the factors that have one level throughout A and another throughout B."""
    differences: tuple[str, ...] = ()
    """Sentences on what else differs."""

    @property
    def geometric_mean(self) -> float:
        """Geometric mean of the cells' ratios; nan if no cell has one."""
        return geometric_mean([c.ratio.estimate for c in self.cells if not math.isnan(c.ratio.estimate)])

    @property
    def regressions(self) -> tuple[CellComparison, ...]:
        """Cells in which B is worse, or fails where A did not."""
        return tuple(cell for cell in self.cells if cell.finding.is_regression)

    def frame(self) -> pd.DataFrame:
        """Return one row a cell, for a notebook."""
        return pd.DataFrame(
            {
                "cell": [c.label for c in self.cells],
                "trials A": [c.trials_a for c in self.cells],
                "trials B": [c.trials_b for c in self.cells],
                "median A": [c.median_a for c in self.cells],
                "median B": [c.median_b for c in self.cells],
                "ratio": [c.ratio.estimate for c in self.cells],
                "ratio low": [c.ratio.low for c in self.cells],
                "ratio high": [c.ratio.high for c in self.cells],
                "p": [c.p for c in self.cells],
                "failed A": [c.failed_a for c in self.cells],
                "failed B": [c.failed_b for c in self.cells],
                "finding": [str(c.finding) for c in self.cells],
            }
        )

    def sentences(self) -> list[str]:
        """Return the outcome in words: changes, unpaired cells, findings by number, geometric mean."""
        said = [f"{n}: {a or 'blank'} in A, {b or 'blank'} in B." for n, (a, b) in self.changed.items()]
        said += self.differences
        for where, labels in (("A", self.only_in_a), ("B", self.only_in_b)):
            if labels:
                said.append(f"Only {where} has: {'; '.join(labels)}.")
        for finding in Change:
            labels = tuple(_naming_failures(cell) for cell in self.cells if cell.finding is finding)
            if labels:
                share = f"{len(labels)} of {len(self.cells)}"
                said.append(f"{finding.capitalize()} in {share}: {'; '.join(labels)}.")
        if not math.isnan(self.geometric_mean):
            said.append(f"Geometric mean of the ratios B / A in {self.metric}: {self.geometric_mean:.3f}.")
        return said


def compare_files(
    a: Path | str, b: Path | str, metric: Metric = Metric.THROUGHPUT, threshold: float = THRESHOLD
) -> Comparison:
    """Compare two CSVs, and what their sidecars say of where they come from. Raises what `read` raises."""
    sidecars = Sidecar.read(Path(a)), Sidecar.read(Path(b))
    return compare(read(a), read(b), metric, threshold, differences(*sidecars))


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: Metric = Metric.THROUGHPUT,
    threshold: float = THRESHOLD,
    differing: Sequence[str] = (),
) -> Comparison:
    """Compare two frames of rows, cell by cell. Only valid trials count, except for failures.

    Better and worse need both: U below 5 % after Holm's correction over the cells, and a ratio further from 1
    than the threshold (0.05: beyond 1.05 or below 1/1.05). Cells with too few trials ever to reach that are
    told apart first, by their number of trials alone, and burden no other (R. E. Tarone, A modified
    Bonferroni method for discrete data, 1990). Failures that A did not have show at any number of trials.
    Raises BadParameter for a negative threshold, ResultsError without rows or a cell in common.
    """
    if not threshold >= 0:
        raise BadParameter(f"threshold is {threshold}: it is a share, 0 or more, such as 0.05")
    for name, frame in (("A", a), ("B", b)):
        if frame.empty:
            raise ResultsError(f"{name} has no rows to compare: was it interrupted before its first trial?")
        require_columns(frame, metric)
        require_cells_apart(frame)
    pairing = Pairing(a, b)
    trials, failed = pairing.trials(metric), pairing.failed()
    testable = _testable({key: smallest_p(len(x), len(y)) for key, (x, y) in trials.items()})
    p_values = dict(zip(testable, holm([mann_whitney_p(*trials[key]) for key in testable]), strict=True))
    only_in_a, only_in_b = (tuple(pairing.label(key) for key in keys) for keys in pairing.lonely())
    return Comparison(
        metric=metric,
        threshold=threshold,
        cells=tuple(
            _cell(pairing.label(key), both, failed[key], p_values.get(key, math.nan), metric, threshold)
            for key, both in trials.items()
        ),
        only_in_a=only_in_a,
        only_in_b=only_in_b,
        changed=pairing.changed,
        differences=(*differing, *_without(pairing.ignored)),
    )


def _without(factors: Sequence[str]) -> Iterator[str]:
    if factors:
        yield f"Cells are paired without {', '.join(factors)}: one of the two has no such column."


def _testable(smallest: Mapping[Key, float]) -> list[Key]:
    """Return the cells that could reach the level whatever the others do, by Tarone's rule."""
    for burden in range(1, len(smallest) + 1):
        able = [key for key, p in smallest.items() if p * burden <= LEVEL]
        if len(able) <= burden:
            return able
    return list(smallest)


def _cell(
    label: str, values: Sides, failed: Sides, p: float, metric: Metric, threshold: float
) -> CellComparison:
    a, b = values
    ratio = ratio_interval(b, a)
    return CellComparison(
        label=label,
        trials_a=len(a),
        trials_b=len(b),
        median_a=median(a) if a else math.nan,
        median_b=median(b) if b else math.nan,
        ratio=ratio,
        p=p,
        finding=finding_of(ratio.estimate, p, failed, metric, threshold),
        failed_a=mean(failed[0]),
        failed_b=mean(failed[1]),
    )


def _naming_failures(cell: CellComparison) -> str:
    if cell.finding is not Change.FAILS_MORE:
        return cell.label
    return f"{cell.label} ({cell.failed_a:.3g} of the requests in A, {cell.failed_b:.3g} in B)"
