"""What a request costs a service: slots, service time and its distribution."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from services.names import Distribution, WorkKind, choice

__all__ = ["Work", "service_times"]

LOGNORMAL_SIGMA = 1.0
"""Spread of the logarithm of a lognormal service time: a standard deviation of 1.31 means."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one request costs one instance. The defaults are the profile `documented`.

    `slots` requests are served at once; `queue_limit` more wait, first come, first served; any further one is
    refused. Raises ValueError, naming the field, where a value makes no sense.
    """

    kind: WorkKind = WorkKind.IO
    mean_ms: float = 40.0
    distribution: Distribution = Distribution.CONSTANT
    slots: int = 1
    queue_limit: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", choice(WorkKind, "kind", self.kind))
        object.__setattr__(self, "distribution", choice(Distribution, "distribution", self.distribution))
        if not (math.isfinite(self.mean_ms) and self.mean_ms >= 0):
            raise ValueError(f"mean_ms must be a number of milliseconds, 0 or more, not {self.mean_ms}")
        if self.slots < 1:
            raise ValueError(f"slots must be 1 or more, not {self.slots}")
        if self.queue_limit < 0:
            raise ValueError(f"queue_limit must be 0 (no request waits) or more, not {self.queue_limit}")

    @property
    def mean_s(self) -> float:
        """The mean service time that is really spent, in seconds: 0 where none is added to the text work."""
        timeless = self.kind is WorkKind.TEXT or self.distribution is Distribution.NONE
        return 0.0 if timeless else self.mean_ms / 1000


def service_times(work: Work, name: str) -> Iterator[float]:
    """Yield the service times of one instance, in seconds, without end.

    Seed and name determine them, so instances draw independently of each other. The mean of a lognormal is
    exp(mu + sigma²/2), which gives the mu for a wanted mean.
    """
    generator = random.Random(f"{work.seed}:{name}")
    mean = work.mean_s
    while True:
        if mean == 0 or work.distribution is Distribution.CONSTANT:
            yield mean
        elif work.distribution is Distribution.EXPONENTIAL:
            yield generator.expovariate(1 / mean)
        else:
            yield generator.lognormvariate(math.log(mean) - LOGNORMAL_SIGMA**2 / 2, LOGNORMAL_SIGMA)
