"""How requests arrive at a simulated pipeline. Pure data; times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Closed", "Poisson", "Traffic"]


@dataclass(frozen=True, slots=True)
class Poisson:
    """An open loop: arrivals at this rate, each independent of all others and of what the pipeline does."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate < float("inf"):
            raise ValueError(f"the arrival rate is {self.rate}/s: it must be above 0")


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed loop: so many clients; each waits for its answer, thinks, and sends the next request."""

    concurrency: int
    think_time_s: float = 0.0

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError(f"concurrency is {self.concurrency}: somebody must send requests")
        if not 0 <= self.think_time_s < float("inf"):
            raise ValueError(f"think_time_s is {self.think_time_s}: a time of 0 seconds or more")


Traffic = Poisson | Closed
