"""A stage at work: its policy, its instances, and who waits before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapreplace

from numpy.random import Generator

from lab.theory.model import Stage
from services.balancer.instances import Instance
from services.balancer.policies import Policy, build

__all__ = ["Line", "Visit"]

Visit = tuple["Line", "_Server", float, "Visit | None"]
"""Where a request is, at which instance, since when, and the visit before, which lasts until this ends."""


class Line:
    """One stage of a simulation. Requests are known by number."""

    __slots__ = ("_policy", "_service_times", "following", "servers", "waiting")

    def __init__(self, stage: Stage, generator: Generator, seed: int) -> None:
        self._policy: Policy = build(stage.policy, limit=stage.limit, seed=seed)
        self._service_times: Iterator[float] = stage.service_times(generator)
        self.servers = tuple(_Server(stage, place) for place in range(stage.instances))
        self.following: Line | None = None
        self.waiting: deque[tuple[int, Visit | None]] = deque()
        """Requests for which no instance has room."""
        for server in self.servers:
            self._policy.add(server)

    def begin(self, now: float, before: Visit | None) -> tuple[float, Visit] | None:
        """Give a request to an instance: when it is served there, and its visit. None if none has room."""
        server = self._policy.choose(now)
        if not isinstance(server, _Server):  # which is to say: None
            return None
        server.requests += 1
        self._policy.started(server, now)
        service_time = next(self._service_times) * server.slowness
        free = server.free[0]
        served = (free if free > now else now) + service_time
        heapreplace(server.free, served)
        return served, (self, server, now, before)

    def end(self, visit: Visit, now: float) -> None:
        """The instance has answered."""
        _, server, begun, _ = visit
        self._policy.finished(server, now, now - begun)


class _Server(Instance):
    """An instance that knows when each of its slots comes free, and how much slower than others it is."""

    __slots__ = ("free", "slowness")

    def __init__(self, stage: Stage, place: int) -> None:
        weight = stage.weights[place] if place < len(stage.weights) else 1
        super().__init__(f"instance{place}", "simulated", place, weight)
        self.slowness = 1 / stage.speeds[place] if place < len(stage.speeds) else 1.0
        self.free = [0.0] * stage.slots
        """A heap of times in seconds."""
