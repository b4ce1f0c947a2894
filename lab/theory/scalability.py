"""The Universal Scalability Law: throughput against concurrency with contention and coherence.

N. J. Gunther, Guerrilla Capacity Planning, 2007, ch. 4. Rates per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ScalabilityLaw"]


@dataclass(frozen=True, slots=True)
class ScalabilityLaw:
    """X(N) = λN / (1 + σ(N − 1) + κN(N − 1))."""

    rate: float
    """λ: requests a second at concurrency 1."""
    contention: float
    """σ: the share of a request's time that no two can spend at once."""
    coherence: float
    """κ: what each pair in flight costs; above 0 the throughput has a peak and falls beyond it."""

    def throughput(self, concurrency: ArrayLike) -> NDArray[np.float64]:
        """Requests a second at each concurrency."""
        n = np.asarray(concurrency, dtype=np.float64)
        waste = 1 + self.contention * (n - 1) + self.coherence * n * (n - 1)
        throughput: NDArray[np.float64] = self.rate * n / waste
        return throughput

    @property
    def peak_concurrency(self) -> float:
        """√((1 − σ) / κ): where the throughput is greatest; infinite without coherence."""
        if self.coherence <= 0:
            return math.inf
        return math.sqrt(max(0.0, 1 - self.contention) / self.coherence)

    @property
    def peak_throughput(self) -> float:
        """The greatest throughput; without coherence what contention alone allows, λ/σ."""
        if math.isinf(self.peak_concurrency):
            return self.rate / self.contention if self.contention > 0 else math.inf
        return float(self.throughput(self.peak_concurrency))
