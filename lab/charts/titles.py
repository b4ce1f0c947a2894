"""The titles of charts against load: what the rows found, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lab.charts.findings import Claim, Finding
from lab.charts.series import Panel, Series
from lab.rounding import number, numbers, trimmed

__all__ = ["at_load", "counted_in_words", "most_done", "time_taken"]

_LOADS = {"concurrency": "{} in flight", "requested_rate": "{} req/s"}
_WORDS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)
_MOST_SERIES = 3
"""How many series a title tells one by one."""


def at_load(axis: str, place: float) -> str:
    """Name a place on an axis as a sentence does: "32 in flight", "50 req/s"."""
    return _LOADS[axis].format(trimmed(f"{place:,.10g}"))


def counted_in_words(count: int) -> str:
    """Write a count as a word up to twelve: "four"."""
    return _WORDS[count] if count < len(_WORDS) else f"{count:,}"


def most_done(panels: Sequence[Panel], findings: Sequence[Finding]) -> str:
    """Say how many times the work of one instance several do; else which series does most."""
    told = [each for each in findings if each.claim is Claim.RATIO and not math.isnan(each.interval.estimate)]
    if told:
        return _times_the_work(panels, told)
    best = max(_ends(panels, "throughput_rps"), default=None)
    if best is None:
        return "No valid trial says how much they do"
    rate, name, where = best
    return f"{name} does most: {number(rate)} req/s at {where}"


def _times_the_work(panels: Sequence[Panel], ratios: Sequence[Finding]) -> str:
    """Say one ratio, or the least and the greatest of several."""
    counts = {series.name: int(series.factors["replicas"] or 1) for p in panels for series in p.series}
    least, *_, most = sorted(each.interval.estimate for each in (*ratios, *ratios))
    edges = ratios[0].band.edges
    shown = numbers(least, most, edges=(*edges, ratios[0].at_most))
    said = " to ".join(dict.fromkeys(shown))
    where = ratios[0].what.rpartition(" at concurrency ")[2]
    several = counted_in_words(counts.get("parallel", 4)).capitalize()
    one = counted_in_words(counts.get("sequential", 1))
    return f"{several} instances do {said}× the work of {one} at {where} in flight"


def _ends(panels: Sequence[Panel], column: str) -> list[tuple[float, str, str]]:
    """Tell the known points of all series: value, name of the series, and load."""
    return [
        (
            point.interval.estimate,
            ", ".join(filter(None, (series.name, panel.label))),
            at_load(panel.axis, point.x),
        )
        for panel in panels
        for series in panel.series
        for point in series.points(column)
        if not math.isnan(point.interval.estimate)
    ]


def time_taken(panels: Sequence[Panel]) -> str:
    """Say how long a request takes at the least and the greatest load that the first panel's series share."""
    panel = panels[0]
    times = {series.name: _times(series) for series in panel.series[:_MOST_SERIES]}
    shared = sorted(set.intersection(*map(set, times.values())))
    if not shared:
        return "No valid trial says how long a request takes"
    told = " and ".join(f"{number(at[shared[0]])} ms ({name})" for name, at in times.items())
    said = f"at {at_load(panel.axis, shared[0])} a request takes {told}"
    if len(shared) > 1:
        later = " and ".join(number(at[shared[-1]]) for at in times.values())
        said += f", at {at_load(panel.axis, shared[-1])} {later} ms"
    return f"With {panel.label}: {said}" if panel.label and len(panels) > 1 else said[0].upper() + said[1:]


def _times(series: Series) -> dict[float, float]:
    points = series.points("response_time_mean_ms")
    return {p.x: p.interval.estimate for p in points if not math.isnan(p.interval.estimate)}
