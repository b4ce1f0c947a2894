"""What rows say of the documented claims: the interval, the verdict, and the sentence under a chart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd

from lab.charts.series import Panel, Series, panels_of
from lab.expectations import RATIO, Band, Expectation, Verdict, expected_of, judge, sentence
from lab.measure.factors import topology_of
from lab.measure.statistics import Interval, log_interval, ratio_interval
from lab.names import TopologyName
from lab.results.counted import counted
from lab.rounding import numbers
from lab.theory.bounds import knee, stations_of

__all__ = ["Claim", "Finding", "caption", "findings_of", "judged_at"]


class Claim(StrEnum):
    """A quantity that the documents make a claim about."""

    THROUGHPUT = "throughput"
    LATENCY = "mean response_time"
    RATIO = "parallel over sequential"


@dataclass(frozen=True, slots=True)
class Finding:
    """One documented claim, and what was measured of it."""

    claim: Claim
    panel: str
    """What sets these rows apart from those of other findings; empty if nothing does."""
    what: str
    interval: Interval
    band: Band
    saturated: bool = True
    """Whether the claim was measured at saturation, if it is about that; else the verdict is undecided."""
    at_most: float = math.inf
    """What physics allows, in the band's unit."""

    @property
    def verdict(self) -> Verdict:
        """Where the interval lies against the band."""
        if not self.saturated:
            return Verdict.UNDECIDED
        return judge(self.interval.low, self.interval.high, self.band, self.at_most)

    @property
    def figures(self) -> tuple[str, str, str]:
        """The estimate and the ends of its interval, with the digits that the verdict needs; "–" if blank."""
        of = self.interval
        estimate, low, high = numbers(of.estimate, of.low, of.high, edges=self.band.edges)
        return estimate, low, high

    def __str__(self) -> str:
        """Say the finding in a sentence."""
        estimate = "" if math.isnan(self.interval.estimate) else f" ({self.figures[0]}×)"
        what = self.what + (estimate if self.claim is Claim.RATIO else "")
        said = sentence(what, self.interval.low, self.interval.high, self.band, self.at_most)
        if not self.saturated:
            said = f"{what} was not measured at saturation, so the documented {self.band} are undecided."
        return f"With {self.panel}: {said}" if self.panel else said


def findings_of(rows: pd.DataFrame, claim: Claim) -> list[Finding]:
    """Find what the rows say of a claim: one finding for each topology, or each ratio, in each panel."""
    found: list[Finding] = []
    for panel in panels_of(rows):
        if claim is Claim.RATIO:
            found.extend(_ratio(panel))
        else:
            found.extend(each for series in panel.series for each in _at_its_point(panel, series, claim))
    return found


def judged_at(series: Series) -> Expectation | None:
    """Return the documented figures of a series; None where it was not driven at their concurrency."""
    expected = expected_of(series.name)
    if expected is None or series.axis != "concurrency" or expected.concurrency not in series.places:
        return None
    return expected if (series.rows["replicas"] == expected.replicas).any() else None


def _at_its_point(panel: Panel, series: Series, claim: Claim) -> Iterator[Finding]:
    """Find throughput or latency at the one concurrency that the documents give for this topology."""
    expected = expected_of(series.name)
    if expected is None or series.axis != "concurrency":
        return
    here = series.at(expected.concurrency)
    here = here[here["replicas"] == expected.replicas]
    if not len(here):
        return
    column, band = {
        Claim.THROUGHPUT: ("throughput_rps", expected.throughput_rps),
        Claim.LATENCY: ("response_time_mean_ms", expected.response_time_ms),
    }[claim]
    what = f"{series.name.capitalize()} {claim} at concurrency {expected.concurrency}"
    yield Finding(claim, panel.label, what, log_interval(counted(here, column)), band)


def _ratio(panel: Panel) -> Iterator[Finding]:
    """Find parallel over sequential at the highest concurrency that both were driven at."""
    sequential, parallel = panel.named(TopologyName.SEQUENTIAL), panel.named(TopologyName.PARALLEL)
    if sequential is None or parallel is None or panel.axis != "concurrency":
        return
    shared = set(sequential.places) & set(parallel.places)
    if not shared:
        return
    highest = max(shared)
    above, below = (counted(series.at(highest), "throughput_rps") for series in (parallel, sequential))
    ratio = ratio_interval(above, below)
    yield Finding(
        Claim.RATIO,
        panel.label,
        f"Parallel over sequential throughput at concurrency {highest:g}",
        ratio,
        RATIO,
        saturated=highest >= _knee(parallel),
        at_most=_times_the_instances(sequential, parallel),
    )


def _times_the_instances(sequential: Series, parallel: Series) -> float:
    """Divide the instances of a service: no ratio of throughputs can exceed that."""
    above, below = (series.factors["replicas"] for series in (parallel, sequential))
    return float(above) / float(below) if above and below else math.inf


def _knee(series: Series) -> float:
    """Compute the concurrency from which saturation is possible at all; 0 where theory does not know it."""
    concurrency = knee(stations_of(topology_of(series.factors)))
    return 0.0 if math.isinf(concurrency) else concurrency


NOTHING = (
    "Nothing here is what the documents speak of: they are judged in a closed loop without think time, "
    "at concurrency 1 (sequential) and 3 (parallel with four replicas)."
)


def caption(findings: Sequence[Finding]) -> str:
    """Write one sentence for each finding, its verdict in bold: Markdown, a list where there are several."""
    sentences = [_emphasised(finding) for finding in findings] or [NOTHING]
    return sentences[0] if len(sentences) == 1 else "\n".join(f"- {each}" for each in sentences)


def _emphasised(finding: Finding) -> str:
    """Put the last mention of the verdict in bold: an earlier one may be part of a name."""
    head, verdict, tail = str(finding).rpartition(str(finding.verdict))
    return f"{head}**{verdict}**{tail}"
