"""Put instances in trouble: dead in the middle of a request, frozen, all dead, or restarted one by one."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.backends import free_ports
from benchmarks.balancers import builtin
from benchmarks.goals import GoalFigure, at_most, reference
from benchmarks.one_service import BODY, JSON, addresses_of, one_service, outcomes, post_steadily
from lab.arrivals import Constant
from lab.faults.report import executions
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.placement import PlacementName, Running, start
from lab.placement.ports import free_offset
from lab.placement.protocol_http import ask_balancer
from lab.topology import Balancer, Topology
from services.balancer.settings import BalancerSettings
from services.loops import run as run_loop
from services.wire import Response, WireClient
from services.work import Work

__all__ = ["balancer_abort", "balancer_all_dead", "balancer_frozen", "balancer_rolling_restart"]

RATE = 50.0
PAUSE_S = 0.2
"""Between two restarts of a rolling one."""


def balancer_abort() -> Iterator[GoalFigure]:
    """Kill an instance amid requests, on a route declared idempotent and on another."""
    for idempotent in (True, False):
        with tempfile.TemporaryDirectory() as folder:
            topology = one_service(150.0, ledger=folder, slots=8)
            with start(topology, placement=PlacementName.PROCESSES) as running:
                settings = BalancerSettings(
                    "service4",
                    free_ports(1)[0],
                    addresses_of(topology),
                    idempotent=frozenset({"/report"} if idempotent else ()),
                )
                with builtin(settings):
                    yield from _aborted(running, settings, Path(folder), idempotent=idempotent)


def _aborted(
    running: Running, settings: BalancerSettings, folder: Path, *, idempotent: bool
) -> Iterator[GoalFigure]:
    balancer = Balancer("own", settings.port)
    victim = settings.instances[1].name
    in_flight: list[int] = []

    def kill() -> None:
        while True:  # until it has requests in hand
            running.freeze(victim)
            _, instances = ask_balancer(balancer, "GET", "/admin/instances")
            in_flight[:] = [each["in_flight"] for each in instances if each["name"] == victim]
            if in_flight[0] > 1:
                break
            running.thaw(victim)
            time.sleep(0.02)
        running.kill(victim)

    posted = post_steadily(f"http://127.0.0.1:{settings.port}/report", 60.0, 4.0, kill, after_s=1.5)
    failed = sum(count for outcome, count in outcomes(posted).items() if outcome != "200")
    twice = sum(times > 1 for times in executions(folder, running.topology.services[0]).values())
    if idempotent:
        yield at_most(f"idempotent: client errors, of {len(posted)} with {in_flight[0]} in flight", failed, 0)
        yield reference("idempotent: executed twice", twice)
    else:
        yield at_most(f"not declared idempotent: client errors, of {len(posted)}", failed, in_flight[0])
        yield at_most("not declared idempotent: executed twice", twice, 0)


def balancer_frozen() -> Iterator[GoalFigure]:
    """Freeze an instance that then accepts and never answers: the longest response beside one try.

    Instances have slots to spare, so that a second try does not wait behind a request that came by itself.
    """
    try_s = 0.5
    with start(one_service(20.0, try_s, slots=8), placement=PlacementName.PROCESSES) as running:
        usual = run(_steady(running.entry_url, 12.0))
        with ThreadPoolExecutor(1) as thread:
            loading = thread.submit(run, _steady(running.entry_url, 5.0))
            time.sleep(1.5)
            running.freeze("service4b")
            frozen = loading.result()
    times_s = [entry.response_time_s for run_of in (usual, frozen) for entry in run_of.journal]
    struck = [time_s for time_s in times_s if time_s >= try_s]
    normal = [time_s for time_s in times_s if time_s < try_s]
    normal_s, longest_s, usually_s = max(normal), max(struck), statistics.median(normal)
    late_ms = (statistics.median(struck) - try_s - usually_s) * 1000
    yield reference(
        f"median of {len(struck)} struck, beyond one try and the median normal answer", late_ms, "ms"
    )
    yield reference("one try, and the longest normal answer", (try_s + normal_s) * 1000, "ms")
    yield at_most("longest response with one frozen", longest_s * 1000, (try_s + normal_s) * 1000, "ms")
    yield at_most(f"client errors, of {len(frozen.journal)}", frozen.failed, 0)


def balancer_all_dead() -> Iterator[GoalFigure]:
    """Kill every instance: 503 with Retry-After at once, and service again when they are back."""
    with start(one_service(1.0), placement=PlacementName.PROCESSES) as running:
        names = [instance.name for instance in running.topology.services[0].instances]
        _ask(running.entry_url)
        for name in names:
            running.kill(name)
        took, wrong = [], 0
        for _ in range(200):
            begun = time.monotonic()
            answer = _ask(running.entry_url)
            took.append(time.monotonic() - begun)
            wrong += answer.status != 503 or answer.header(b"retry-after") is None
        yield at_most("answers other than 503 with Retry-After, of 200", wrong, 0)
        yield at_most("the slowest of them", max(took) * 1000, 50, "ms")
        for name in names:
            running.restart(name)
        up = time.monotonic()
        while _ask(running.entry_url).status != 200 and time.monotonic() < up + 30:
            time.sleep(0.01)
        yield at_most("served again, without a restart, after", time.monotonic() - up, 2.1, "s")


def balancer_rolling_restart() -> Iterator[GoalFigure]:
    """Restart all 16 instances of the parallel topology in turn, under load."""
    for placement in (PlacementName.IN_PROCESS, PlacementName.PROCESSES):
        topology = Topology.parallel().with_work(Work(mean_ms=5))
        with (
            start(topology.shifted(free_offset(topology)), placement=placement) as running,
            ThreadPoolExecutor(1) as thread,
        ):
            spec = LoadSpec(
                url=running.entry_url,
                load=Constant(20.0),
                duration_s=18.0,
                warmup_s=0.0,
                method="POST",
                body=PipelineBody(),
            )
            loading = thread.submit(run, spec)
            time.sleep(1.0)
            begun = time.monotonic()
            for service in running.topology.services:
                for instance in service.instances:
                    running.restart(instance.name)
                    time.sleep(PAUSE_S)
            took = time.monotonic() - begun
            result = loading.result()
        failed = sum(count for outcome, count in result.totals.items() if outcome != "http_200")
        yield at_most(
            f"{placement}: errors of {sum(result.totals.values())} {result.failures or ''}", failed, 0
        )
        yield at_most(f"{placement}: 16 restarts, within the load", took, 16.5, "s")


def _steady(url: str, duration_s: float) -> LoadSpec:
    return LoadSpec(
        url=url,
        load=Constant(RATE),
        duration_s=duration_s,
        warmup_s=0.0,
        method="POST",
        headers=JSON,
        body=BODY,
        journal=True,
        stages=False,
    )


def _ask(url: str) -> Response:
    async def main() -> Response:
        async with WireClient() as client:
            return await client.post(url, BODY, dict(JSON))

    return run_loop(main())
