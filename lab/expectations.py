"""The documented figures of the pipeline, and the verdict on measured figures against them.

By Little's law the documented 5–20 req/s at 50–200 ms are one request in flight, and 15–60 req/s at the same
latency three. So the bands are judged at closed-loop concurrency 1 (sequential) and 3 (parallel with its
documented four instances a service), and the 3–4× at saturation. Elsewhere there is nothing to judge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from lab.names import TopologyName
from lab.rounding import SAME, numbers

__all__ = [
    "CONTAINERS",
    "RATIO",
    "RESPONSE_TIME_MS",
    "Band",
    "Expectation",
    "Verdict",
    "expected_at",
    "expected_of",
    "judge",
    "sentence",
]


class Verdict(StrEnum):
    """Where an interval lies against a band."""

    WITHIN = "within"
    ABOVE = "above"
    BELOW = "below"
    UNDECIDED = "undecided"
    """The interval crosses an edge, or there is none: more trials would tell.

    Touching an edge that is also what physics allows is no crossing.
    """


@dataclass(frozen=True, slots=True)
class Band:
    """A documented range in `unit`, edges included. With `and_more` it is open above: "15–60+ req/s"."""

    low: float
    high: float
    unit: str
    and_more: bool = False

    @property
    def ceiling(self) -> float:
        """The edge above which a value is above the band: infinity where the documents say "and more"."""
        return math.inf if self.and_more else self.high

    @property
    def edges(self) -> tuple[float, float]:
        """The two values at which a verdict changes."""
        return self.low, self.ceiling

    def __str__(self) -> str:
        plus = "+" if self.and_more else ""
        gap = "" if self.unit == "×" else " "
        return f"{self.low:g}–{self.high:g}{plus}{gap}{self.unit}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """The documented figures of one topology, and the closed-loop concurrency at which they are judged."""

    concurrency: int
    replicas: int
    throughput_rps: Band
    response_time_ms: Band


RESPONSE_TIME_MS = Band(50, 200, "ms")
RATIO = Band(3, 4, "×")
"""The saturation throughput of parallel over that of sequential."""
CONTAINERS = {TopologyName.SEQUENTIAL: 4, TopologyName.PARALLEL: 21}
"""Parallel: 16 instances, 4 balancers and 1 client. Sequential: 4 instances; its client does not count."""

_DOCUMENTED = {
    TopologyName.SEQUENTIAL: Expectation(1, 1, Band(5, 20, "req/s"), RESPONSE_TIME_MS),
    TopologyName.PARALLEL: Expectation(3, 4, Band(15, 60, "req/s", and_more=True), RESPONSE_TIME_MS),
}


def expected_of(topology: str) -> Expectation | None:
    """Find the documented figures of the topology of that name; None if there are none."""
    return _DOCUMENTED[TopologyName(topology)] if topology in _DOCUMENTED else None


def expected_at(topology: str | None, replicas: int | None, concurrency: int | None) -> Expectation | None:
    """Find the documented figures for exactly this point; None where the documents speak of another."""
    expectation = expected_of(topology) if topology else None
    if expectation and (expectation.replicas, expectation.concurrency) == (replicas, concurrency):
        return expectation
    return None


def judge(low: float, high: float, band: Band, at_most: float = math.inf) -> Verdict:
    """Judge where the interval [low, high], in the band's unit, lies against the band.

    A point is an interval too. An end that is NaN makes the verdict undecided. `at_most` is what physics
    allows: the interval is cut there, so that an edge which is also a physical bound is met from below by
    touching it.
    """
    if not low <= high:  # also where an end is not a number
        return Verdict.UNDECIDED
    high = min(high, max(low, at_most))
    if _beyond(low, band.ceiling):
        return Verdict.ABOVE
    if _beyond(band.low, high):
        return Verdict.BELOW
    inside = not _beyond(band.low, low) and not _beyond(high, band.ceiling)
    return Verdict.WITHIN if inside else Verdict.UNDECIDED


def _beyond(value: float, edge: float) -> bool:
    """Tell whether a value lies above an edge, by more than floats are off."""
    return value > edge and not math.isclose(value, edge, rel_tol=SAME)


def sentence(what: str, low: float, high: float, band: Band, at_most: float = math.inf) -> str:
    """Write the sentence under a chart: "Sequential throughput, 6.12 to 6.34 req/s …, is within …".

    The ends have as many digits as it takes for them not to contradict the verdict, which is `judge`'s.
    """
    verdict = judge(low, high, band, at_most)
    if math.isnan(low) or math.isnan(high):
        return f"{what} is undecided against the documented {band}: too few valid trials for an interval."
    unit = "×" if band.unit == "×" else f" {band.unit}"
    first, last = numbers(low, high, edges=band.edges)
    measured = f"{what}, {first} to {last}{unit} (95 % interval),"
    if verdict is Verdict.UNDECIDED:
        return f"{measured} crosses an edge of the documented {band}: undecided, more trials would tell."
    met = verdict is Verdict.WITHIN and _beyond(high, band.ceiling)
    why = f": it touches {at_most:g}{unit}, and physics allows no more" if met else ""
    return f"{measured} is {verdict} the documented {band}{why}."
