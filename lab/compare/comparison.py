"""Compare the same cells of two results: one is called better or worse only where its interval says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median

import pandas as pd

from lab.compare.cells import Key, Pairing, Sides
from lab.compare.decision import LEVEL, Change, Metric, Shown, finding_of, rank_p_values, shown
from lab.compare.origins import conditions, differences
from lab.errors import BadParameter, ResultsError
from lab.measure.statistics import Interval, geometric_mean
from lab.results.frame import read, require_cells_apart, require_columns
from lab.results.sidecar import Sidecar

__all__ = ["CellComparison", "Comparison", "compare", "compare_files"]

THRESHOLD = 0.05
"""How far a ratio must lie from 1. Trials of one sweep share a sitting, so their scatter does not show what
changes from one sitting to the next: a machine a few per cent slower would pass for a regression."""
NAMED = 8
"""How many cells a sentence names."""


@dataclass(frozen=True, slots=True)
class CellComparison:
    """One cell, A against B, over their valid trials."""

    label: str
    trials_a: int
    trials_b: int
    median_a: float
    median_b: float
    ratio: Interval
    """Ratio of B to A, of geometric means, with the interval that decides."""
    p: float
    """The p-value of Mann and Whitney's U, corrected for the cells; nan where ranks could not decide."""
    finding: Change
    failed_a: float = 0.0
    """Share of the requests that failed, on average over all trials, valid or not."""
    failed_b: float = 0.0
    levels: tuple[str, ...] = ()
    """The cell's levels of the factors in `Comparison.named_by`; a blank is empty."""
    level: float = LEVEL
    """The chance that the interval misses the truth: Holm's procedure shares 5 % among all cells."""
    enough: int | None = None
    """Trials a side that would tell a B twice as bad from none; None where no scatter is known."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two results, A and B, in one metric."""

    metric: Metric
    threshold: float
    cells: tuple[CellComparison, ...]
    """Sorted by their factors."""
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    changed: Mapping[str, tuple[str, str]]
    """Levels of the factors that have one level throughout A and another throughout B."""
    differences: tuple[str, ...] = ()
    """Sentences on what else differs."""
    conditions: str = ""
    """A sentence on what of machine and software differs, and what follows; empty if nothing does."""
    named_by: tuple[str, ...] = ()
    """The factors that tell cells apart."""
    common: Mapping[str, str] = field(default_factory=dict)
    """Levels of the factors that are the same in all cells of A and B."""

    @property
    def geometric_mean(self) -> float:
        """Geometric mean of the cells' ratios; nan if no cell has one."""
        return geometric_mean([c.ratio.estimate for c in self.cells if not math.isnan(c.ratio.estimate)])

    @property
    def regressions(self) -> tuple[CellComparison, ...]:
        """Cells in which B is worse, or fails where A did not."""
        return tuple(cell for cell in self.cells if cell.finding.is_regression)

    @property
    def undecided(self) -> tuple[CellComparison, ...]:
        """Cells in which B may as well be twice as bad as A, so that nothing was really compared."""
        return tuple(cell for cell in self.cells if cell.finding is Change.TOO_FEW_TRIALS)

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
                "level": [c.level for c in self.cells],
                "trials wanted": [
                    c.enough if c.finding is Change.TOO_FEW_TRIALS else None for c in self.cells
                ],
            }
        )

    def sentences(self) -> list[str]:
        """Return the outcome in words: changes, unpaired cells, findings by number, geometric mean."""
        said = [f"{n}: {a or 'blank'} in A, {b or 'blank'} in B." for n, (a, b) in self.changed.items()]
        said += self.differences
        for where, labels in (("A", self.only_in_a), ("B", self.only_in_b)):
            if labels:
                said.append(f"Only {where} has: {_listed(labels)}.")
        said += [self._found(finding) for finding in Change if self._of(finding)]
        said += [self.conditions] if self.conditions else []
        if not math.isnan(self.geometric_mean):
            said.append(f"Geometric mean of the ratios B / A in {self.metric}: {self.geometric_mean:.3f}.")
        return said

    def wanting(self) -> str:
        """Return a sentence on cells with too few trials: which, and how many it takes; empty without any."""
        return self._found(Change.TOO_FEW_TRIALS) if self.undecided else ""

    def _of(self, finding: Change) -> list[CellComparison]:
        return [cell for cell in self.cells if cell.finding is finding]

    def _found(self, finding: Change) -> str:
        cells = self._of(finding)
        share = f"{finding.capitalize()} in {len(cells)} of {len(self.cells)}"
        if finding is Change.NO_DIFFERENCE_SHOWN:
            return f"{share}."
        return f"{share}: {_listed([_with_why(cell) for cell in cells])}."


def compare_files(
    a: Path | str, b: Path | str, metric: Metric = Metric.THROUGHPUT, threshold: float = THRESHOLD
) -> Comparison:
    """Compare two CSVs, and what their sidecars say of where they come from. Raises what `read` raises."""
    sidecars = Sidecar.read(Path(a)), Sidecar.read(Path(b))
    return compare(read(a), read(b), metric, threshold, differences(*sidecars), conditions(*sidecars))


def compare(
    a: pd.DataFrame,
    b: pd.DataFrame,
    metric: Metric = Metric.THROUGHPUT,
    threshold: float = THRESHOLD,
    differing: Sequence[str] = (),
    conditions: str = "",
) -> Comparison:
    """Compare two frames of rows, cell by cell. Only valid trials count, except for failures.

    One rule decides: B is better or worse where the interval of the ratio excludes 1 and the ratio lies
    further from 1 than the threshold (0.05: beyond 1.05 or below 1/1.05). A false alarm in any cell has a
    chance of 5 % in all, by Holm's procedure. Failures that A did not have show at any number of trials.
    Raises BadParameter for a negative threshold, ResultsError without rows or a cell in common.
    """
    if not 0 <= threshold < math.inf:
        raise BadParameter(f"threshold is {threshold}: it is a share, 0 or more, such as 0.05")
    for name, frame in (("A", a), ("B", b)):
        if frame.empty:
            raise ResultsError(f"{name} has no rows to compare: was it interrupted before its first trial?")
        require_columns(frame, metric)
        require_cells_apart(frame)
    pairing = Pairing(a, b)
    only_in_a, only_in_b = (tuple(pairing.label(key) for key in keys) for keys in pairing.lonely())
    return Comparison(
        metric=metric,
        threshold=threshold,
        cells=tuple(_cells(pairing, metric, threshold)),
        only_in_a=only_in_a,
        only_in_b=only_in_b,
        changed=pairing.changed,
        differences=(*differing, *_without(pairing.ignored)),
        conditions=conditions,
        named_by=pairing.telling,
        common=pairing.common,
    )


def _without(factors: Sequence[str]) -> Iterator[str]:
    if factors:
        yield f"Cells are paired without {', '.join(factors)}: one of the two has no such column."


def _cells(pairing: Pairing, metric: Metric, threshold: float) -> list[CellComparison]:
    trials, failed = pairing.trials(metric), pairing.failed()
    told, ranks = shown(trials), rank_p_values(trials)

    def cell(key: Key) -> CellComparison:
        finding = finding_of(told[key].ratio, failed[key], metric, threshold)
        p = ranks.get(key, math.nan)
        return _cell(pairing, key, trials[key], failed[key], told[key], p, finding)

    return [cell(key) for key in trials]


def _cell(
    pairing: Pairing, key: Key, values: Sides, failed: Sides, told: Shown, p: float, finding: Change
) -> CellComparison:
    a, b = values
    return CellComparison(
        label=pairing.label(key),
        trials_a=len(a),
        trials_b=len(b),
        median_a=median(a) if a else math.nan,
        median_b=median(b) if b else math.nan,
        ratio=told.ratio,
        p=p,
        finding=finding,
        failed_a=mean(failed[0]),
        failed_b=mean(failed[1]),
        levels=pairing.levels(key),
        level=told.level,
        enough=told.enough,
    )


def _listed(labels: Sequence[str]) -> str:
    more = f"; and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return "; ".join(labels[:NAMED]) + more


def _with_why(cell: CellComparison) -> str:
    """Return the cell's name and, where its figures alone do not tell, why it was found so."""
    if cell.finding is Change.FAILS_MORE:
        return f"{cell.label} ({cell.failed_a:.3g} of the requests in A, {cell.failed_b:.3g} in B)"
    if cell.finding is Change.TOO_FEW_TRIALS:
        wanted = f"about {cell.enough} a side tell a halving" if cell.enough else "it takes 2 a side at least"
        return f"{cell.label} ({cell.trials_a} : {cell.trials_b} valid trials with this figure; {wanted})"
    return cell.label
