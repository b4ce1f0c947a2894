"""Run short of descriptors, and cut off uploads: what fails, who is blamed, what is left in memory."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import psutil

from benchmarks.backends import backends, free_ports
from benchmarks.balancers import builtin
from benchmarks.goals import GoalFigure, at_least, at_most, reference
from lab.placement.protocol_http import ask_balancer
from lab.topology import Balancer
from services.balancer.settings import BalancerSettings
from services.loops import run
from services.wire import WireClient, WireError

__all__ = ["balancer_memory", "balancer_shortage"]

SHELL_LIMIT = 256
"""What macOS lets a process open at first."""
IDLE_CLIENTS = 600
REQUESTS = 300
RECOVERED_S = 1.0
UPLOADS = 3000
UPLOAD = b"x" * 1_000_000
KEPT_MIB = 20.0
_LAB_UP = """
import json, lab
from lab.arrivals import Closed
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.placement.ports import free_offset
topology = lab.Topology.parallel().with_work(lab.Work(mean_ms=5, slots=8))
with lab.start(topology.shifted(free_offset(topology))) as running:
    spec = LoadSpec(url=running.entry_url, load=Closed(32), duration_s=5.0, warmup_s=0.0, method="POST",
                    body=PipelineBody())
    load = run(spec)
    errors = sum(i["errors"] for s in running.stats().values() for i in s["stats"].values())
    print(json.dumps({"totals": load.totals, "errors": errors, "short": running.shortages()}))
"""


def balancer_shortage() -> Iterator[GoalFigure]:
    """Start from a shell's low limit, let idle clients crowd a balancer, and take its descriptors away."""
    yield from _from_a_shell()
    with ExitStack() as stack:
        settings = BalancerSettings("service1", free_ports(1)[0], stack.enter_context(backends()))
        process = psutil.Process(stack.enter_context(builtin(settings)).pid)
        if not hasattr(process, "rlimit"):
            yield reference("the rest needs a limit that can be set from outside (Linux)", float("nan"))
            return
        yield from _crowded(settings, process)
        yield from _taken_away(settings, process)


def _from_a_shell() -> Iterator[GoalFigure]:
    def limit() -> None:
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (SHELL_LIMIT, most))

    done = subprocess.run(
        [sys.executable, "-c", _LAB_UP], stdout=subprocess.PIPE, preexec_fn=limit, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    failed = sum(count for outcome, count in found["totals"].items() if outcome != "http_200")
    sent = sum(found["totals"].values())
    yield at_most(f"ulimit -Sn {SHELL_LIMIT}, 32 in flight: failed of {sent}", failed, 0)
    yield at_most("errors that balancers counted at instances", found["errors"], 0)


def _crowded(settings: BalancerSettings, process: psutil.Process) -> Iterator[GoalFigure]:
    """Open more idle connections than the balancer may have, and ask beside them."""
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    process.rlimit(psutil.RLIMIT_NOFILE, (SHELL_LIMIT, limits[1]))
    time.sleep(2 * settings.check_interval_s)  # the balancer looks with each check
    with ExitStack() as stack:
        for _ in range(IDLE_CLIENTS):
            stack.enter_context(socket.create_connection(("127.0.0.1", settings.port), timeout=5))
        statuses = run(_ask(settings.port, REQUESTS))
        yield at_most(
            f"with {IDLE_CLIENTS} idle clients at a limit of {SHELL_LIMIT}: failed of {REQUESTS}",
            REQUESTS - statuses.count(200),
            0,
        )
    yield from _blameless(settings, "after that")
    process.rlimit(psutil.RLIMIT_NOFILE, limits)


def _taken_away(settings: BalancerSettings, process: psutil.Process) -> Iterator[GoalFigure]:
    """Leave the balancer no descriptor, then give it some back."""
    limits = process.rlimit(psutil.RLIMIT_NOFILE)

    async def main() -> tuple[list[int], float]:
        async with WireClient(idle_timeout_s=60.0) as client:
            await _status(client, settings.port)
            await _until_idle(settings)
            process.rlimit(psutil.RLIMIT_NOFILE, (8, limits[1]))
            during = [await _status(client, settings.port) for _ in range(20)]
            process.rlimit(psutil.RLIMIT_NOFILE, limits)
            given_back = time.monotonic()
            while await _status(client, settings.port) != 200:
                if time.monotonic() > given_back + 30:
                    break
            return during, time.monotonic() - given_back

    during, took = run(main())
    yield at_least("without a descriptor: answered 503, of 20", during.count(503), 20)
    yield at_most("served again after it was given some", took, RECOVERED_S, "s")
    yield from _blameless(settings, "after that")


async def _until_idle(settings: BalancerSettings) -> None:
    """Wait until no connection to an instance is kept any more."""
    await asyncio.sleep(settings.instance_idle_s + 0.5)


def _blameless(settings: BalancerSettings, when: str) -> Iterator[GoalFigure]:
    balancer = Balancer("own", settings.port)
    stats: dict[str, Any] = ask_balancer(balancer, "GET", "/stats")[1]["stats"]
    yield at_most(f"{when}: errors counted at instances", sum(each["errors"] for each in stats.values()), 0)
    events = ask_balancer(balancer, "GET", "/admin/events")[1]
    yield at_most(f"{when}: ejections", sum(event["event"] == "ejected" for event in events), 0)
    short = sum(event["event"] == "short" for event in events)
    yield at_least(f"{when}: times that the log says `out of descriptors`", short, 1)


async def _ask(port: int, count: int) -> list[int]:
    statuses = []
    for _ in range(count // 10):
        async with WireClient() as client:  # half over new connections, half over kept ones
            statuses += [await _status(client, port) for _ in range(10)]
    return statuses


async def _status(client: WireClient, port: int) -> int:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/x", timeout_s=5.0)).status
    except WireError:
        return 0


def balancer_memory() -> Iterator[GoalFigure]:
    """Cut off 3,000 uploads of 1 MB: what the balancer keeps of them after a second."""
    with ExitStack() as stack:
        settings = BalancerSettings("service1", free_ports(1)[0], stack.enter_context(backends()))
        process = psutil.Process(stack.enter_context(builtin(settings)).pid)
        for _ in range(20):
            _cut_off(settings.port)
        time.sleep(1.0)
        before = process.memory_info().rss
        for _ in range(UPLOADS):
            _cut_off(settings.port)
        time.sleep(1.0)
        kept = (process.memory_info().rss - before) / 2**20
        yield at_most(f"RSS beyond the start's, {UPLOADS:,} uploads of 1 MB later", kept, KEPT_MIB, "MiB")


def _cut_off(port: int) -> None:
    """Send all but the last byte of a body, and go."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock, suppress(OSError):
        head = b"POST /process HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(UPLOAD)
        sock.sendall(head + UPLOAD[:-1])
