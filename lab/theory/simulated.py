"""What a simulation found, and how far chance lets it be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

__all__ = ["Simulated"]


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """The requests after the warm-up."""

    arrived_s: NDArray[np.float64]
    """When each arrived, in order, in seconds since the beginning of the simulation."""
    response_times_s: NDArray[np.float64]
    """How long each was in the pipeline, in the same order."""
    requests: tuple[tuple[int, ...], ...]
    """How many each instance of each stage was given, those of the warm-up included."""

    @property
    def mean_s(self) -> float:
        """The mean response time."""
        return float(self.response_times_s.mean())

    @property
    def throughput_rps(self) -> float:
        """Answers a second, over the middle nine tenths of them: the last stragglers would blur it.

        Infinite where all come at once, as a single one does.
        """
        early, late = np.quantile(self.arrived_s + self.response_times_s, (0.05, 0.95))
        return 0.9 * (len(self.arrived_s) - 1) / float(late - early) if late > early else math.inf

    def quantile_s(self, quantile: float) -> float:
        """The response time that this part of the requests (0 to 1) does not exceed."""
        return float(np.quantile(self.response_times_s, quantile))

    def margin_s(self, confidence: float = 0.95, batches: int = 30) -> float:
        """Half the width of the mean's confidence interval.

        By batch means (Law, Simulation Modeling and Analysis, 9.5.3), since neighbours are alike: the means
        of `batches` stretches, taken as independent, and Student's t. Raises ValueError where a stretch
        would have fewer than 100 requests.
        """
        length = len(self.response_times_s) // batches
        if length < 100:
            raise ValueError(
                f"{len(self.response_times_s)} requests are too few for {batches} batches of 100"
            )
        means = self.response_times_s[: length * batches].reshape(batches, length).mean(axis=1)
        t = float(stdtrit(batches - 1, (1 + confidence) / 2))
        return t * float(means.std(ddof=1)) / math.sqrt(batches)
