"""Load a balancer for long, under kills, freezes, shortage and malformed input: what is lost or left over."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from signal import SIGCONT, SIGSTOP
from typing import Any
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.backends import free_ports
from benchmarks.balancer_malformed import mutated_requests, send
from benchmarks.balancers import builtin
from benchmarks.flaky_instances import flaky_instances
from benchmarks.goals import GoalFigure, at_least, at_most, reference
from lab.placement.protocol_http import ask_balancer
from lab.topology import Balancer
from services.balancer.settings import BalancerSettings
from services.loops import run
from services.wire import WireClient, WireError

__all__ = ["balancer_soak"]

SECONDS = 600.0
CLIENTS = 16
ATTACKERS = 2
EVERY_S = 5.0
"""How far apart freezes and shortages are."""
FROZEN_S = 1.0
SHORT_S = 0.5
QUIET_S = 3.0
"""Longer than an idle connection is kept, and than a slow client may take."""
COUNTED = 2000
MOST_MIB = 10.0


def balancer_soak(seconds: float = SECONDS) -> Iterator[GoalFigure]:
    """Soak a balancer: counts conserved to the last one, memory and descriptors as before once quiet."""
    with flaky_instances() as instances:
        settings = BalancerSettings(
            "service1",
            free_ports(1)[0],
            instances,
            timeout_s=0.5,
            backoff_s=0.1,
            instance_idle_s=1.0,
            head_timeout_s=1.0,
            body_timeout_s=1.0,
            idle_timeout_s=2.0,
        )
        with builtin(settings) as running:
            process = psutil.Process(running.pid)
            flaky = next(c for c in psutil.Process().children() if "flaky" in " ".join(c.cmdline()))
            seen: Counter[str] = Counter()
            run(_loaded(settings.port, min(5.0, seconds / 4), seen, []))  # what the first use allocates
            before = _quiet(process)
            seen.clear()
            troubles = [_freezes(flaky), _malformed(settings.port, seen)]
            if hasattr(process, "rlimit"):
                troubles.append(_shortages(process, settings.port))
            run(_loaded(settings.port, seconds, seen, troubles))
            after = _quiet(process)
            counted_before = _requests(settings.port)
            clean: Counter[str] = Counter()
            run(_counted(settings.port, clean))
            counted = _requests(settings.port) - counted_before
            metrics, stats = _metrics(settings.port), _stats(settings.port)
    yield from _figures(seen, seconds)
    yield from _conserved(metrics, stats)
    sent = sum(clean.values())
    yield at_most(f"counted differently by balancer and clients, of {sent:,}", abs(counted - sent), 0)
    yield at_most("RSS beyond the start's, once quiet", (after[0] - before[0]) / 2**20, MOST_MIB, "MiB")
    yield at_most("descriptors beyond the start's, once quiet", after[1] - before[1], 0)


def _figures(seen: Counter[str], seconds: float) -> Iterator[GoalFigure]:
    for outcome, count in sorted(seen.items(), key=lambda pair: -pair[1]):
        yield reference(f"{outcome}, in {seconds:.0f} s", count)


def _conserved(metrics: Counter[tuple[str, str]], stats: dict[str, dict[str, int]]) -> Iterator[GoalFigure]:
    """Hold what the balancer says in three places against each other."""

    def total(name: str, *without: str) -> float:
        return sum(n for (family, label), n in metrics.items() if family == name and label not in without)

    attempts, errors = (sum(each[what] for each in stats.values()) for what in ("requests", "errors"))
    excused = ("answered", "abandoned", "late", "starved", "stale", "short")
    yield at_least("attempts", attempts, 100)
    lost = abs(total("balancer_attempts") + total("balancer_in_flight") - attempts)
    yield at_most("attempts that ended in no way, or in two", lost, 0)
    yield at_most("errors without a cause", abs(total("balancer_attempts", *excused) - errors), 0)
    untimed = abs(metrics["balancer_request_duration_seconds", "count"] - total("balancer_requests"))
    yield at_most("requests answered and not timed", untimed, 0)
    yield at_most("attempts still in flight", total("balancer_in_flight"), 0)
    yield at_most("requests still in the queue", total("balancer_queue_length"), 0)


async def _loaded(port: int, seconds: float, seen: Counter[str], troubles: list[Any]) -> None:
    """Ask from several clients at once, with the troubles beside them."""
    tasks = [asyncio.ensure_future(trouble) for trouble in troubles]
    end = time.monotonic() + seconds
    await asyncio.gather(*(_ask(port, end, seen) for _ in range(CLIENTS)))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _ask(port: int, end: float, seen: Counter[str]) -> None:
    async with WireClient() as client:
        while time.monotonic() < end:
            await _post(client, port, seen)
            await asyncio.sleep(0.002)


async def _post(client: WireClient, port: int, seen: Counter[str]) -> None:
    try:
        answer = await client.post(f"http://127.0.0.1:{port}/process", b"x" * 100, timeout_s=10.0)
        seen[f"http_{answer.status}"] += 1
    except WireError as error:
        seen[str(error.kind)] += 1


async def _counted(port: int, seen: Counter[str]) -> None:
    async with WireClient() as client:
        for _ in range(COUNTED):
            await _post(client, port, seen)


async def _freezes(flaky: psutil.Process) -> None:
    try:
        while True:
            await asyncio.sleep(EVERY_S)
            flaky.send_signal(SIGSTOP)
            await asyncio.sleep(FROZEN_S)
            flaky.send_signal(SIGCONT)
    finally:
        flaky.send_signal(SIGCONT)


async def _shortages(process: psutil.Process, port: int) -> None:
    """Take away what is left of descriptors, while the connections of many idle clients come and go."""
    limits = process.rlimit(psutil.RLIMIT_NOFILE)
    try:
        while True:
            await asyncio.sleep(EVERY_S * 0.7)
            process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 2, limits[1]))
            idle = []
            for _ in range(50):
                with suppress(OSError):
                    idle.append(await asyncio.open_connection("127.0.0.1", port))
            await asyncio.sleep(SHORT_S)
            process.rlimit(psutil.RLIMIT_NOFILE, limits)
            for _, writer in idle:
                writer.transport.abort()
    finally:
        process.rlimit(psutil.RLIMIT_NOFILE, limits)


async def _malformed(port: int, seen: Counter[str]) -> None:
    async def attack(number: int) -> None:
        rng = random.Random(number)
        while True:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(5.0):
                    await send(port, mutated_requests(rng), Counter())
            seen["mutated requests beside them"] += 2
            await asyncio.sleep(0.005)

    await asyncio.gather(*(attack(number) for number in range(ATTACKERS)))


def _quiet(process: psutil.Process) -> tuple[int, int]:
    """Wait until nothing but checks is under way; return resident memory in bytes, and open descriptors.

    Of descriptors the most in a while: instances still die, and only then is there one for each one's checks.
    """
    time.sleep(QUIET_S)
    end, most = time.monotonic() + QUIET_S, 0
    while time.monotonic() < end:
        most = max(most, process.num_fds())
        time.sleep(0.01)
    return process.memory_info().rss, most


def _requests(port: int) -> float:
    time.sleep(0.2)  # the text of the metrics is kept for a moment
    return sum(n for (family, _), n in _metrics(port).items() if family == "balancer_requests")


def _metrics(port: int) -> Counter[tuple[str, str]]:
    """Return the values by the name of the family and the result, or what of a histogram it is."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            ending = sample.name.rpartition("_")[2]
            if ending not in ("created", "bucket"):
                label = sample.labels.get("result", ending if ending in ("sum", "count") else "")
                found[family.name, label] += int(sample.value)
    return found


def _stats(port: int) -> dict[str, dict[str, int]]:
    stats: dict[str, dict[str, int]] = ask_balancer(Balancer("own", port), "GET", "/stats")[1]["stats"]
    return stats
