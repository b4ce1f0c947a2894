"""The warm-up and the measurement window of a cell, from what theory predicts for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lab.arrivals import Closed
from lab.measure.factors import Combination, load_of, topology_of
from lab.measure.percentiles import sample_floor
from lab.names import PlacementName
from lab.theory.bounds import processor, throughput_bound
from lab.theory.prediction import predict_closed
from services.names import ClientName, WorkKind

__all__ = ["TrialWindow", "Windows", "predicted_rps"]

LEAST_ANSWERS = sample_floor(0.5)
"""A trial with fewer is invalid, whatever else it is."""
SPARE = 1.2
"""Factor on the time that these are predicted to take."""
LONGEST_S = 120.0
"""The longest window in s, whatever a longer one could say."""
TURNS = 1.2
"""Turns of what is in flight that a warm-up lasts at least: one, and a little more."""
SHORTEST_WARMUP_S = 0.3
PER_REQUEST_RPS = 15.0
"""Requests a second that four services do at most where each makes an HTTP client for every request: no
theory knows it, and without it a window could pass before the first answer."""
BUNCHES = 8
"""Bunches of answers that a rate takes there: requests share the processor until all of them end together."""


@dataclass(frozen=True, slots=True)
class TrialWindow:
    """The seconds of a trial that are cut off, and those that are measured."""

    warmup_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Windows:
    """A rule for windows: long enough for a number of answers, and within bounds, in seconds."""

    answers: int
    shortest_s: float
    longest_s: float = LONGEST_S

    def of(self, combination: Combination) -> TrialWindow:
        """Return the window of a cell. A `warmup_s` or `duration_s` of its own is kept."""
        rate = predicted_rps(combination)
        turn_s = (combination["concurrency"] or 1) / rate if rate else 0.0
        bunches = BUNCHES if combination["client"] == ClientName.HTTPX_PER_REQUEST else 0
        duration_s = combination.get("duration_s") or max(self.seconds(rate), bunches * turn_s)
        warmup_s = combination.get("warmup_s")
        if warmup_s is None:
            warmup_s = max(TURNS * turn_s, SHORTEST_WARMUP_S)
        return TrialWindow(round(float(warmup_s), 1), round(float(duration_s), 1))

    def seconds(self, rate: float | None) -> float:
        """Return the window in s where `rate` answers a second are expected; the shortest where None are."""
        needed_s = self.answers / rate if rate else 0.0
        usual_s = min(max(needed_s, self.shortest_s), self.longest_s)
        least_s = SPARE * LEAST_ANSWERS / rate if rate else 0.0
        return round(max(usual_s, least_s), 1)


def predicted_rps(combination: Combination) -> float | None:
    """Return the answers a second to expect; None where no formula knows, or where nothing takes time."""
    load = load_of(combination)
    if not isinstance(load, Closed):
        return load.requested_rate
    predicted = _by_theory(combination, load)
    if combination["client"] == ClientName.HTTPX_PER_REQUEST:
        return min(predicted or math.inf, PER_REQUEST_RPS)
    return predicted


def _by_theory(combination: Combination, load: Closed) -> float | None:
    """Return what theory predicts. CPU work in one process shares one lock: it all passes one server."""
    topology = topology_of(combination)
    if combination["work"] == WorkKind.CPU and combination["placement"] == PlacementName.IN_PROCESS:
        return throughput_bound([processor(topology, cores=1)], load.concurrency, load.think_time_s)
    predicted = predict_closed(topology, load.concurrency, load.think_time_s).throughput_rps
    return predicted if predicted and math.isfinite(predicted) else None
