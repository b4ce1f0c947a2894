"""Measure the CPU that a balancer takes per proxied request, beside two builds of nginx and Envoy."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial

from benchmarks.backends import backends, free_ports
from benchmarks.balancers import RunningBalancer, builtin, external, system_nginx
from benchmarks.goals import GoalFigure, at_most, reference
from lab.arrivals import Closed
from lab.errors import ProgramMissing
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.names import BalancerName
from services.balancer.settings import Address, BalancerSettings

__all__ = ["balancer_cpu"]

CONNECTIONS = 32
SECONDS = 2.0
ROUNDS = 9
BODY = b'{"text": "' + b"the cat sat on the mat. " * 40 + b'", "request_id": "r1"}'
SYSTEM_NGINX = "the system's nginx"
PEERS: dict[str, tuple[Callable[[BalancerSettings], AbstractContextManager[RunningBalancer]], float]] = {
    BalancerName.NGINX: (partial(external, BalancerName.NGINX), 0.9),
    SYSTEM_NGINX: (system_nginx, 1.25),
    BalancerName.ENVOY: (partial(external, BalancerName.ENVOY), 0.45),
}
"""How each is started, and how much of its CPU ours may take."""


def balancer_cpu() -> Iterator[GoalFigure]:
    """Compare CPU per proxied request: 32 connections, four back ends, every default feature on, logs off."""
    with ExitStack() as stack:
        instances = stack.enter_context(backends())
        running = {"builtin": stack.enter_context(builtin(_settings(instances)))}
        for name, (start, _) in PEERS.items():
            try:
                running[name] = stack.enter_context(start(_settings(instances)))
            except ProgramMissing as error:
                yield reference(f"{name} is not compared: {error}", float("nan"))
        for what, body in (("GET", None), ("POST of 1 KiB", BODY)):
            yield from _compared(what, body, running)


def _compared(what: str, body: bytes | None, running: dict[str, RunningBalancer]) -> Iterator[GoalFigure]:
    found: dict[str, list[float]] = {name: [] for name in running}
    names = list(running)
    for turn in range(ROUNDS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(_cpu_us(running[name], body))
    for name, costs in found.items():
        yield reference(f"{what}, {name}, median of {ROUNDS}", statistics.median(costs), "µs of CPU")
    for name, (_, bound) in PEERS.items():
        if name in found:
            ratios = [ours / theirs for ours, theirs in zip(found["builtin"], found[name], strict=True)]
            yield at_most(f"{what}, builtin / {name}, median of rounds", statistics.median(ratios), bound)


def _cpu_us(balancer: RunningBalancer, body: bytes | None) -> float:
    """Load the balancer and return its CPU per request, in microseconds."""
    spec = LoadSpec(
        url=f"http://127.0.0.1:{balancer.port}/process",
        load=Closed(CONNECTIONS),
        duration_s=SECONDS,
        warmup_s=0.0,
        method="GET" if body is None else "POST",
        body=body,
        headers=() if body is None else (("content-type", "application/json"),),
        stages=False,
    )
    before = balancer.cpu_s
    result = run(spec)
    spent = balancer.cpu_s - before
    failed = sum(count for outcome, count in result.totals.items() if outcome != "http_200")
    if failed:
        raise RuntimeError(f"{failed} requests of {sum(result.totals.values())} failed: {result.totals}")
    return spent / result.sent_in_all * 1e6


def _settings(instances: tuple[Address, ...]) -> BalancerSettings:
    (port,) = free_ports(1)
    return BalancerSettings("service1", port, instances)
