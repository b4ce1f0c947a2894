"""What is simulated: the stages of a pipeline, and their service times.

Random numbers are drawn in batches and handed out one by one, since NumPy's cost is per call, not per number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.errors import BadParameter
from lab.topology import Service, Topology
from services.balancer.policies import PolicyName
from services.names import Distribution, choice
from services.work import LOGNORMAL_SIGMA

__all__ = ["Stage", "endless", "require_number", "require_whole", "stages_of"]

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
    weighted round robin; instances beyond have 1. What is chosen by name may be given as plain text.
    Raises BadParameter, naming the field, for a name that is unknown and a value that makes no sense.
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
        try:
            object.__setattr__(self, "distribution", choice(Distribution, "distribution", self.distribution))
            object.__setattr__(self, "policy", choice(PolicyName, "policy", self.policy))
        except ValueError as error:
            raise BadParameter(str(error)) from None
        require_whole("instances", self.instances, 1)
        require_whole("slots", self.slots, 1)
        require_number("service_time_s", self.service_time_s, "seconds")
        if self.limit is not None:
            require_whole("limit", self.limit, 1)
        object.__setattr__(self, "speeds", self._of_instances("speeds", self.speeds))
        object.__setattr__(self, "weights", self._of_instances("weights", self.weights))
        for speed in self.speeds:
            require_number("speeds", speed, "factors", zero=False)
        for weight in self.weights:
            require_whole("weights", weight, 1)

    def _of_instances(self, name: str, values: Sequence[Any]) -> tuple[Any, ...]:
        """Read what is given for the first instances. Raises BadParameter for more, or for no sequence."""
        if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
            raise BadParameter(f"{name} is {values!r}: give one for each instance, as (0.25, 1)")
        if len(values) > self.instances:
            raise BadParameter(
                f"{name} has {len(values)} for the {self.instances} instances there are: leave some out"
            )
        return tuple(values)

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
            limit=service.in_flight_limit or None,
            weights=tuple(instance.weight for instance in service.instances),
        )

    @property
    def mean_s(self) -> float:
        """The mean service time that is really spent at speed 1, in seconds."""
        return 0.0 if self.distribution is Distribution.NONE else self.service_time_s

    @property
    def capacity_rps(self) -> float:
        """The most requests a second, if every request found a free instance."""
        return math.fsum(self._capacities())

    @property
    def sustained_rps(self) -> float:
        """The requests a second that the policy's choices allow: from there on some queue grows for ever.

        A policy that looks at no queue is held up by its busiest instance. One that takes the better of two
        drawn must send to any k of n instances the requests for which it draws both among these: the k
        slowest (S. Foss and N. Chernova, On the stability of a partially accessible multi-station queue with
        state-dependent routing, 1998).
        """
        capacities = self._capacities()
        if self.limit is not None or math.isinf(sum(capacities)):
            return math.fsum(capacities)
        match self.policy:
            case PolicyName.ROUND_ROBIN | PolicyName.RANDOM:
                return self.instances * min(capacities)
            case PolicyName.WEIGHTED_ROUND_ROBIN:
                weights = (*self.weights, *[1] * (self.instances - len(self.weights)))
                return sum(weights) * min(c / w for c, w in zip(capacities, weights, strict=True))
            case PolicyName.POWER_OF_TWO | PolicyName.PEAK_EWMA if self.instances > 1:
                pairs = self.instances * (self.instances - 1)
                slowest = np.cumsum(sorted(capacities))
                among = np.arange(2, self.instances + 1)
                return float(np.min(slowest[1:] * pairs / (among * (among - 1))))
        return math.fsum(capacities)

    @property
    def all_speeds(self) -> tuple[float, ...]:
        """The speed of every instance."""
        return (*map(float, self.speeds), *[1.0] * (self.instances - len(self.speeds)))

    @property
    def room(self) -> int | None:
        """How many requests all instances may have in flight together; None is any number."""
        queues = self.policy is PolicyName.CENTRAL_QUEUE and self.limit is None
        limit = 1 if queues else self.limit
        return None if limit is None else self.instances * limit

    def _capacities(self) -> list[float]:
        """Compute the requests a second of each instance."""
        if not self.mean_s:
            return [math.inf] * self.instances
        return [speed * self.slots / self.mean_s for speed in self.all_speeds]

    def service_times(self, generator: np.random.Generator) -> Iterator[float]:
        """Yield service times in seconds at speed 1, without end."""
        mean = self.service_time_s
        match self.distribution:
            case Distribution.EXPONENTIAL:
                return endless(lambda count: generator.exponential(mean, count))
            case Distribution.LOGNORMAL if mean:
                mu = np.log(mean) - LOGNORMAL_SIGMA**2 / 2
                return endless(lambda count: generator.lognormal(mu, LOGNORMAL_SIGMA, count))
            case _:
                return repeat(self.mean_s)


def stages_of(topology: Topology) -> tuple[Stage, ...]:
    """Make a stage of each service of a topology, in the order a request passes them."""
    return tuple(Stage.of(service) for service in topology.services)


def require_whole(name: str, value: object, least: int) -> None:
    """Raise BadParameter, naming the parameter, unless the value is a whole number of at least that."""
    try:
        good = not isinstance(value, bool) and index(value) >= least  # type: ignore[arg-type]
    except TypeError:
        good = False
    if not good:
        raise BadParameter(f"{name} is {value!r}: give a whole number, {least} or more")


def require_number(name: str, value: object, unit: str, *, zero: bool = True) -> None:
    """Raise BadParameter, naming the parameter, unless the value is a finite number of 0 or more."""
    number = float(value) if isinstance(value, int | float | np.number) else math.nan
    if isinstance(value, bool) or not (math.isfinite(number) and (number > 0 or (zero and number == 0))):
        wanted = "0 or more" if zero else "above 0"
        raise BadParameter(f"{name} is {value!r}: give a number of {unit}, {wanted}")
