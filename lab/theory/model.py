"""What is simulated: the stages of a pipeline, and their service times.

Random numbers are drawn in batches and handed out one by one, since NumPy's cost is per call, not per number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from lab.topology import Service, Topology
from services.balancer.policies import PolicyName
from services.names import Distribution
from services.work import LOGNORMAL_SIGMA

__all__ = ["Stage", "endless", "stages_of"]

BATCH = 1 << 14


def endless(draw: Callable[[int], NDArray[np.float64]]) -> Iterator[float]:
    """Yield what `draw(count)` draws, call after call, as Python floats."""
    while True:
        yield from draw(BATCH).tolist()


@dataclass(frozen=True, slots=True)
class Stage:
    """One service: instances, each with a queue of its own before its slots, and a policy that chooses one.

    `limit` is how many requests each instance may have in flight: further ones wait in one queue before all
    instances, and are assigned when there is room. None is no limit, except that `central_queue` then has 1.
    `speeds` are factors for the first instances (0.25 takes four times as long), `weights` their weights for
    weighted round robin; instances beyond have 1.
    """

    instances: int = 4
    service_time_s: float = 1.0
    distribution: Distribution = Distribution.EXPONENTIAL
    policy: PolicyName = PolicyName.ROUND_ROBIN
    slots: int = 1
    limit: int | None = None
    speeds: tuple[float, ...] = ()
    weights: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.instances < 1 or self.slots < 1:
            raise ValueError(
                f"a stage of {self.instances} instances with {self.slots} slots: it needs one of each"
            )
        if not self.service_time_s >= 0:
            raise ValueError(f"service_time_s is {self.service_time_s}: a time of 0 seconds or more")
        if max(len(self.speeds), len(self.weights)) > self.instances:
            raise ValueError(
                f"speeds or weights are given for more than the {self.instances} instances there are"
            )
        if not all(speed > 0 for speed in self.speeds):
            raise ValueError(f"speeds are {self.speeds}: an instance must have some")

    @classmethod
    def of(cls, service: Service) -> Stage:
        """Make the stage of a service of a topology. Queue limits and overhead are left out."""
        policy = service.balancer.policy if service.balancer else PolicyName.ROUND_ROBIN
        return cls(
            instances=len(service.instances),
            service_time_s=service.work.mean_s,
            distribution=service.work.distribution,
            policy=policy,
            slots=service.work.slots,
            limit=service.work.slots if policy is PolicyName.CENTRAL_QUEUE else None,
            weights=tuple(instance.weight for instance in service.instances),
        )

    @property
    def capacity_rps(self) -> float:
        """The most requests a second, if every request found a free instance."""
        speed = sum(self.speeds) + self.instances - len(self.speeds)
        return speed * self.slots / self.service_time_s if self.service_time_s else float("inf")

    def service_times(self, generator: np.random.Generator) -> Iterator[float]:
        """Yield service times in seconds at speed 1, without end."""
        mean = self.service_time_s
        match self.distribution:
            case Distribution.EXPONENTIAL:
                return endless(lambda count: generator.exponential(mean, count))
            case Distribution.LOGNORMAL if mean:
                mu = np.log(mean) - LOGNORMAL_SIGMA**2 / 2
                return endless(lambda count: generator.lognormal(mu, LOGNORMAL_SIGMA, count))
            case Distribution.NONE:
                return repeat(0.0)
            case _:
                return repeat(mean)


def stages_of(topology: Topology) -> tuple[Stage, ...]:
    """Make a stage of each service of a topology, in the order a request passes them."""
    return tuple(Stage.of(service) for service in topology.services)
