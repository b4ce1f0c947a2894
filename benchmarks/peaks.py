"""Simulate how often the interval of a scalability law's peak covers the truth, where it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from benchmarks.goals import GoalFigure, at_least, reference
from lab.measure.statistics import Interval
from lab.saturation.scalability import ScalabilityLaw, fit_scalability

__all__ = ["peaks"]

LEVELS = (1, 3, 8, 16, 32)
CONTENTIONS = (0.02, 0.1)
COHERENCES = (0.0005, 0.001, 0.002, 0.004)
TRIALS = (3, 10)
SCATTERS = (0.05, 0.15, 0.25)
"""Standard deviations of the logarithm of a trial's throughput."""
RUNS = 60
LEAST = 0.9
"""The share of shown intervals that must cover: peaks that are shown are the clearer ones of their kind."""


def peaks() -> Iterator[GoalFigure]:
    """Fit the law to simulated sweeps: how often a peak is shown, and its 95 % intervals cover it."""
    draw = np.random.default_rng(1)
    for scatter in SCATTERS:
        found = [
            each
            for contention, coherence, trials in product(CONTENTIONS, COHERENCES, TRIALS)
            for each in _sweeps(ScalabilityLaw(10, contention, coherence), trials, scatter, draw)
        ]
        shown = np.array([covered for known, *covered in found if known], dtype=float).reshape(-1, 2)
        yield reference(f"peaks shown at {scatter:.0%} scatter", 100 * len(shown) / len(found), "%")
        for what, share in zip(("place", "height"), shown.mean(axis=0), strict=True):
            yield at_least(f"its {what} covered", 100 * share, 100 * LEAST, "%")


def _sweeps(
    law: ScalabilityLaw, trials: int, scatter: float, draw: np.random.Generator
) -> Iterator[tuple[bool, bool, bool]]:
    """Tell of each sweep whether a peak is shown, and whether place and height are covered."""
    levels = np.repeat(LEVELS, trials)
    for _ in range(RUNS):
        rates = law.throughput(levels) * np.exp(draw.normal(0, scatter, len(levels)))
        fit = fit_scalability(levels.tolist(), rates.tolist())
        place: Interval = fit.peak_concurrency
        yield place.known, law.peak_concurrency in place, law.peak_throughput in fit.peak_throughput
