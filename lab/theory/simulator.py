"""A pipeline simulated event by event, with the very policy objects that the balancers run."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import accumulate, islice, pairwise
from math import inf

import numpy as np
from numpy.random import SeedSequence, default_rng

from lab.theory.draws import endless
from lab.theory.line import Line, Visit
from lab.theory.model import Stage
from lab.theory.simulated import Simulated
from lab.theory.traffic import Closed, Poisson, Traffic

__all__ = ["simulate"]


def simulate(
    stages: Stage | Sequence[Stage], traffic: Traffic, *, requests: int, warmup: int = 0, seed: int = 0
) -> Simulated:
    """Send `warmup` + `requests` requests through the stages, and tell what became of the latter.

    At an instance a request waits for a slot, first come, first served, is served, gives the slot back, and
    goes on to the next stage. It is in flight at every instance it has been to until the last has answered,
    as it is for the balancers of services that call each other: that is what they choose by. Nothing else
    takes time, nothing fails, and no queue is bounded.

    The same seed gives the same arrivals, and at each stage the same service times in order of their coming,
    whatever the policy: so policies are compared on the same requests. Raises ValueError where there is no
    stage or no request to measure.
    """
    each = (stages,) if isinstance(stages, Stage) else tuple(stages)
    if not each or requests < 1 or warmup < 0:
        raise ValueError(
            f"{requests} requests after {warmup} through {len(each)} stages: there is nothing to measure"
        )
    arrivals_seed, *seeds = SeedSequence(seed).spawn(1 + len(each))
    lines = [
        Line(stage, default_rng(own), seed + n)
        for n, (stage, own) in enumerate(zip(each, seeds, strict=True))
    ]
    run = _Run(lines, warmup + requests)
    if isinstance(traffic, Closed):
        run.closed(traffic)
    else:
        run.open(traffic, default_rng(arrivals_seed))
    arrived, answered = np.array(run.arrived[warmup:]), np.array(run.answered[warmup:])
    return Simulated(
        arrived_s=arrived,
        response_times_s=answered - arrived,
        requests=tuple(tuple(server.requests for server in line.servers) for line in lines),
    )


class _Run:
    """The events that are to come. A request has one at most, so its number tells equal times apart."""

    __slots__ = ("_events", "_first", "_think_time_s", "_total", "answered", "arrived")

    def __init__(self, lines: Sequence[Line], total: int) -> None:
        for line, following in pairwise(lines):
            line.following = following
        self._first = lines[0]
        self._total = total
        self._think_time_s: float | None = None
        """None in an open loop, where nobody waits for an answer to send the next request."""
        self._events: list[tuple[float, int, Visit | None]] = []
        """A heap: when, which request, and the visit whose service ends then; None for an arrival."""
        self.arrived = array("d")
        self.answered = array("d", bytes(8 * total))

    def open(self, traffic: Poisson, generator: np.random.Generator) -> None:
        """Requests come whenever they come. Merging them in beats a heap that holds them."""
        gaps = endless(lambda count: generator.exponential(1 / traffic.rate, count))
        self.arrived.extend(islice(accumulate(gaps), self._total))
        for request, now in enumerate(self.arrived):
            self._advance(now)
            self._enter(self._first, request, now, None)
        self._advance(inf)

    def closed(self, traffic: Closed) -> None:
        """Each client comes at once, and again when it has its answer and has thought."""
        self._think_time_s = traffic.think_time_s
        for _ in range(traffic.concurrency):
            self._arrive(0.0)
        self._advance(inf)

    def _advance(self, until: float) -> None:
        """Let everything happen that happens up to that time."""
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

    def _enter(self, line: Line, request: int, now: float, before: Visit | None) -> None:
        begun = line.begin(now, before)
        if begun is None:
            line.waiting.append((request, before))
        else:
            heappush(self._events, (begun[0], request, begun[1]))

    def _answer(self, now: float, visit: Visit | None) -> None:
        """The last stage has answered, and with it all before."""
        while visit is not None:
            line = visit[0]
            line.end(visit, now)
            if line.waiting:
                request, before = line.waiting.popleft()
                self._enter(line, request, now, before)
            visit = visit[3]
        if self._think_time_s is not None:
            self._arrive(now + self._think_time_s)

    def _arrive(self, at: float) -> None:
        """One more request of a closed loop, if there is to be one."""
        request = len(self.arrived)
        if request < self._total:
            self.arrived.append(at)
            heappush(self._events, (at, request, None))
