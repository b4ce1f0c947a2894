"""Send twice the load that the instances can take to a balancer with a short queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from benchmarks.backends import free_ports
from benchmarks.balancers import builtin
from benchmarks.goals import GoalFigure, at_least, at_most, reference
from benchmarks.one_service import BODY, JSON, addresses_of, one_service
from lab.arrivals import Closed, Load, Poisson
from lab.load.result import LoadResult
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.placement import PlacementName, start
from lab.placement.protocol_http import ask_balancer
from lab.topology import Balancer
from services.balancer.settings import BalancerSettings

__all__ = ["balancer_overload"]

WORK_MS = 20.0
CAPACITY = 4 * 1000 / WORK_MS
SECONDS = 6.0
LIMIT = 1
QUEUE = 8


def balancer_overload() -> Iterator[GoalFigure]:
    """Send twice the capacity, with one request in flight per instance and eight that may wait: goodput."""
    topology = one_service(WORK_MS)
    with start(topology, placement=PlacementName.PROCESSES):
        settings = BalancerSettings(
            "service4",
            free_ports(1)[0],
            addresses_of(topology),
            in_flight_limit=LIMIT,
            queue_limit=QUEUE,
        )
        with builtin(settings):
            url = f"http://127.0.0.1:{settings.port}/report"
            peak = _loaded(url, Closed(4 + QUEUE))
            watch = _Watch(settings.port)
            overloaded = _loaded(url, Poisson(2 * CAPACITY))
            most = watch.close()
    yield reference("peak, as a closed loop finds it", peak.throughput_rps, "req/s")
    yield reference("refused with 503", overloaded.failures.get("http_503", 0))
    goodput = overloaded.succeeded / overloaded.window_s
    yield at_least("goodput at twice the capacity, part of the peak", goodput / peak.throughput_rps, 0.9)
    others = overloaded.failed - overloaded.failures.get("http_503", 0)
    yield at_most("failures other than 503", others, 0)
    yield at_most(f"most in flight at an instance, of {len(watch.seen)} looks", most, LIMIT)
    queued_ms = overloaded.stages_ms["service4-queue"]
    yield at_most("mean wait inside an instance, which is free when it is sent a request", queued_ms, 1, "ms")


def _loaded(url: str, load: Load) -> LoadResult:
    spec = LoadSpec(
        url=url, load=load, duration_s=SECONDS, warmup_s=1.0, method="POST", headers=JSON, body=BODY
    )
    return run(spec)


class _Watch:
    """Samples what is in flight every few milliseconds, from now until `close`."""

    def __init__(self, port: int) -> None:
        self.seen: list[int] = []
        self._balancer = Balancer("own", port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def close(self) -> int:
        """Stop, and return the most that any instance had in flight."""
        self._over.set()
        self._thread.join()
        return max(self.seen)

    def _look(self) -> None:
        while not self._over.is_set():
            _, instances = ask_balancer(self._balancer, "GET", "/admin/instances")
            self.seen.append(max(each["in_flight"] for each in instances))
            time.sleep(0.02)
