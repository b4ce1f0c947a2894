"""A pipeline simulated event by event, with the very policy objects that the balancers run.

`simulate` builds a `SimulatedStage` of each stage, lets `_Run` send requests through them in order of time,
and gives what it found as `Simulated`. A request that begins at a stage has a visit there; the visit lasts
until the last stage has answered, since each service holds its request while it calls the next.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace
from itertools import accumulate, islice, pairwise
from math import inf

import numpy as np
from numpy.random import SeedSequence, default_rng
from numpy.typing import NDArray

from lab.arrivals import Closed, Poisson
from lab.errors import BadParameter
from lab.theory.model import Stage, endless, require_number, require_whole
from services.balancer.instances import InstanceState
from services.balancer.policies import Policy, build

__all__ = ["Simulated", "SimulatedStage", "simulate", "sustained_rps"]

_Visit = tuple["SimulatedStage", "_Server", float, "_Visit | None"]
"""The stage and the instance where a request is, since when, and its visit at the stage before."""


class SimulatedStage:
    """One stage of a simulation: its policy, its instances, and the numbers of the requests that wait.

    Service times and the policy's lots come from streams of their own, both split off `seed`: so stages are
    independent, and a policy changes no service time.
    """

    __slots__ = ("_policy", "_service_times", "following", "servers", "waiting")

    def __init__(self, stage: Stage, seed: SeedSequence) -> None:
        (lots,) = seed.spawn(1)
        self._policy: Policy = build(stage.policy, limit=stage.limit, seed=int(lots.generate_state(1)[0]))
        self._service_times: Iterator[float] = stage.service_times(default_rng(seed))
        self.servers = tuple(_Server(stage, place) for place in range(stage.instances))
        self.following: SimulatedStage | None = None
        self.waiting: deque[tuple[int, _Visit | None]] = deque()
        """Requests for which no instance has room."""
        for server in self.servers:
            self._policy.add(server)

    def begin(self, now: float, before: _Visit | None) -> tuple[float, _Visit] | None:
        """Give a request to an instance: return its end of service and visit, or None if none has room."""
        server = self._policy.choose(now)
        if not isinstance(server, _Server):  # that is, None
            return None
        server.requests += 1
        self._policy.started(server, now)
        service_time = next(self._service_times) * server.slowness
        free = server.free[0]
        served = (free if free > now else now) + service_time
        heapreplace(server.free, served)
        return served, (self, server, now, before)

    def end(self, visit: _Visit, now: float) -> None:
        """Tell the policy that an instance has answered."""
        _, server, begun, _ = visit
        self._policy.finished(server, now, now - begun)


class _Server(InstanceState):
    """An instance with the time at which each slot comes free, and a factor on its service times."""

    __slots__ = ("free", "slowness")

    def __init__(self, stage: Stage, place: int) -> None:
        weight = stage.weights[place] if place < len(stage.weights) else 1
        super().__init__(f"instance{place}", "simulated", place, weight)
        self.slowness = 1 / stage.speeds[place] if place < len(stage.speeds) else 1.0
        self.free = [0.0] * stage.slots
        """A heap of times in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """What a simulation found of the requests after the warm-up."""

    arrived_s: NDArray[np.float64]
    """When each request arrived, in order, in seconds since the beginning: shape (requests,)."""
    response_times_s: NDArray[np.float64]
    """The response time of each request in seconds, in the order of arrivals: shape (requests,)."""
    requests: tuple[tuple[int, ...], ...]
    """How many requests each instance of each stage was given, with those of the warm-up."""

    @property
    def mean_s(self) -> float:
        """The mean response time in seconds."""
        return float(self.response_times_s.mean())

    @property
    def throughput_rps(self) -> float:
        """Answers a second over the middle nine tenths of them, without the last stragglers.

        Infinite where all answers come at once, as a single one does.
        """
        early, late = np.quantile(self.arrived_s + self.response_times_s, (0.05, 0.95))
        return 0.9 * (len(self.arrived_s) - 1) / float(late - early) if late > early else math.inf

    def quantile_s(self, quantile: float) -> float:
        """Compute the response time in seconds that this share of the requests (0 to 1) does not exceed."""
        return float(np.quantile(self.response_times_s, quantile))

    def margin_s(self, confidence: float = 0.95, batches: int = 30) -> float:
        """Compute half the width of the mean's confidence interval, in seconds.

        By batch means (Law, Simulation Modeling and Analysis, 9.5.3), since neighbours are alike: the means
        of `batches` stretches, taken as independent, and Student's t. Raises ValueError where a stretch
        would have fewer than 100 requests.
        """
        from scipy.special import stdtrit  # slow to import, and only margins need it

        require_whole("batches", batches, 2)
        if not 0 < confidence < 1:
            raise BadParameter(f"confidence is {confidence!r}: give a part between 0 and 1, as 0.95")
        length = len(self.response_times_s) // batches
        if length < 100:
            raise ValueError(
                f"{len(self.response_times_s)} requests are too few for {batches} batches of 100"
            )
        means = self.response_times_s[: length * batches].reshape(batches, length).mean(axis=1)
        t = float(stdtrit(batches - 1, (1 + confidence) / 2))
        return t * float(means.std(ddof=1)) / math.sqrt(batches)


def simulate(
    stages: Stage | Sequence[Stage],
    traffic: Closed | Poisson,
    *,
    requests: int,
    warmup: int = 0,
    seed: int = 0,
    transient: bool = False,
) -> Simulated:
    """Send `warmup` + `requests` requests through the stages, and return what became of the latter.

    At an instance a request waits for a slot, first come, first served, is served, gives the slot back, and
    goes on to the next stage. It is in flight at every instance it has been to until the last has answered,
    as it is for the balancers of services that call each other: that is what they choose by. Nothing else
    takes time, nothing fails, and no queue is bounded.

    The same seed gives the same arrivals, and at each stage the same service times in order of arrival,
    whatever the policy: so policies are compared on the same requests.

    Poisson arrivals at a rate that the stages cannot sustain are refused, since what is found of a queue that
    grows for ever depends on `requests` alone; `transient` allows them. Raises BadParameter for that, for no
    stage, and for what is no load or no number.
    """
    each = (stages,) if isinstance(stages, Stage) else tuple(stages)
    _require_stages(each)
    require_whole("requests", requests, 1)
    require_whole("warmup", warmup, 0)
    require_whole("seed", seed, 0)
    _require_traffic(traffic, each, transient=transient)
    arrivals_seed, *seeds = SeedSequence(seed).spawn(1 + len(each))
    simulated = [SimulatedStage(stage, own) for stage, own in zip(each, seeds, strict=True)]
    run = _Run(simulated, warmup + requests)
    if isinstance(traffic, Closed):
        run.closed(traffic)
    else:
        run.open(traffic, default_rng(arrivals_seed))
    arrived, answered = np.array(run.arrived[warmup:]), np.array(run.answered[warmup:])
    return Simulated(
        arrived_s=arrived,
        response_times_s=answered - arrived,
        requests=tuple(tuple(server.requests for server in stage.servers) for stage in simulated),
    )


def _require_stages(stages: Sequence[object]) -> None:
    if not stages or not all(isinstance(stage, Stage) for stage in stages):
        raise BadParameter(
            f"stages are {stages!r}: there is nothing to measure without a Stage, or one for each service"
        )


def _require_traffic(traffic: object, stages: Sequence[Stage], *, transient: bool) -> None:
    """Raise BadParameter for what is no load that can be simulated, or one that grows a queue for ever."""
    if isinstance(traffic, Closed):
        require_whole("concurrency", traffic.concurrency, 1)
        require_number("think_time_s", traffic.think_time_s, "seconds")
        return
    if not isinstance(traffic, Poisson):
        raise BadParameter(f"traffic is {traffic!r}: give a Closed or a Poisson, from lab.arrivals")
    most = sustained_rps(stages)
    if traffic.rate >= most and not transient:
        raise BadParameter(
            f"{traffic.rate:g} requests a second are more than the {most:g} that the stages sustain, so a "
            "queue grows for ever: ask for less, or pass transient=True to see it grow"
        )


def sustained_rps(stages: Sequence[Stage]) -> float:
    """Compute the requests a second that stages in a row sustain at most: from there on some queue grows.

    A request is in flight at a stage until the last has answered. So a stage with a limit sustains no more
    than that many requests in the time that it and all after it take, by Little's law.
    """
    most = min(stage.sustained_rps for stage in stages)
    for place, stage in enumerate(stages):
        seconds = math.fsum(each.mean_s / max(each.all_speeds) for each in stages[place:])
        if stage.room is not None and seconds:
            most = min(most, stage.room / seconds)
    return most


class _Run:
    """The events to come. A request has one at most, so its number tells equal times apart."""

    __slots__ = ("_events", "_first", "_think_time_s", "_total", "answered", "arrived")

    def __init__(self, stages: Sequence[SimulatedStage], total: int) -> None:
        for stage, following in pairwise(stages):
            stage.following = following
        self._first = stages[0]
        self._total = total
        self._think_time_s: float | None = None
        """None in an open loop, where the next request waits for no answer."""
        self._events: list[tuple[float, int, _Visit | None]] = []
        """A heap: when, which request, and the visit whose service ends then; None for an arrival."""
        self.arrived = array("d")
        self.answered = array("d", bytes(8 * total))

    def open(self, traffic: Poisson, generator: np.random.Generator) -> None:
        """Run an open loop. Merging arrivals with the events is faster than a heap that holds both."""
        gaps = endless(lambda count: generator.exponential(1 / traffic.rate, count))
        self.arrived.extend(islice(accumulate(gaps), self._total))
        for request, now in enumerate(self.arrived):
            self._advance(now)
            self._enter(self._first, request, now, None)
        self._advance(inf)

    def closed(self, traffic: Closed) -> None:
        """Run a closed loop: each client sends at once, and again when it has its answer and has thought."""
        self._think_time_s = traffic.think_time_s
        for _ in range(traffic.concurrency):
            self._arrive(0.0)
        self._advance(inf)

    def _advance(self, until: float) -> None:
        """Let all events up to that time happen."""
        events = self._events
        while events and events[0][0] <= until:
            now, request, visit = heappop(events)
            if visit is None:
                self._enter(self._first, request, now, None)
            elif (following := visit[0].following) is not None:
                self._enter(following, request, now, visit)
            else:
                self.answered[request] = now
                self._answer(now, visit)

    def _enter(self, stage: SimulatedStage, request: int, now: float, before: _Visit | None) -> None:
        begun = stage.begin(now, before)
        if begun is None:
            stage.waiting.append((request, before))
        else:
            heappush(self._events, (begun[0], request, begun[1]))

    def _answer(self, now: float, visit: _Visit | None) -> None:
        """End the visits of a request that the last stage has answered, and so all before."""
        while visit is not None:
            stage = visit[0]
            stage.end(visit, now)
            if stage.waiting:
                request, before = stage.waiting.popleft()
                self._enter(stage, request, now, before)
            visit = visit[3]
        if self._think_time_s is not None:
            self._arrive(now + self._think_time_s)

    def _arrive(self, at: float) -> None:
        """Add one more request of a closed loop, unless all have been sent."""
        request = len(self.arrived)
        if request < self._total:
            self.arrived.append(at)
            heappush(self._events, (at, request, None))
