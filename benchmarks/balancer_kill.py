"""Kill instances: what clients notice, how soon the balancer does, and how soon the instance is back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.goals import GoalFigure, at_most, reference
from benchmarks.one_service import BODY, JSON, one_service
from lab.arrivals import Constant
from lab.load.result import RequestRecord
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.placement import PlacementName, Running, start
from lab.placement.protocol_http import ask_balancer

__all__ = ["balancer_kill"]

KILLS = 20
RATE = 50.0
WORK_MS = 20.0
RESTORED_S = 2 * 1.0 + 0.1
"""rise × interval + 100 ms."""
CYCLE_S = 6.5


@dataclass(slots=True)
class _Pool:
    """The outcomes of all cycles."""

    outcomes: list[RequestRecord] = field(default_factory=list)
    baseline_s: list[float] = field(default_factory=list)
    first_second_s: list[float] = field(default_factory=list)
    second_second_s: list[float] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    ejected_s: list[float] = field(default_factory=list)
    restored_s: list[float] = field(default_factory=list)


def balancer_kill() -> Iterator[GoalFigure]:
    """Kill an instance at 50 POSTs a second, 20 times, in processes: errors, ejection, return, latency.

    The baseline has three healthy instances: in each cycle one is first taken out of the choice for a second,
    so that baseline and kill share whatever else the machine does.
    """
    pool = _Pool()
    with start(one_service(WORK_MS), placement=PlacementName.PROCESSES) as running:
        names = [instance.name for instance in running.topology.services[0].instances]
        for kill in range(KILLS):
            _cycle(running, names[kill % len(names)], pool)
    failed = sum(not entry.succeeded for entry in pool.outcomes)
    yield at_most(f"client errors, of {len(pool.outcomes):,} requests over {KILLS} kills", failed, 0)
    yield at_most("attempts refused before the ejection, the most", max(pool.refused), 1)
    yield reference("from the kill to the ejection, the longest", max(pool.ejected_s) * 1000, "ms")
    yield at_most(
        "from being up again to being chosen again, the longest", max(pool.restored_s), RESTORED_S, "s"
    )
    baseline = float(np.quantile(pool.baseline_s, 0.99))
    yield reference(f"p99 of three healthy instances, {len(pool.baseline_s)} requests", baseline * 1000, "ms")
    yield reference("p99 in the first second after the kill", _p99_ms(pool.first_second_s), "ms")
    ratio = float(np.quantile(pool.second_second_s, 0.99)) / baseline
    yield at_most(f"p99 a second after the kill / baseline, {len(pool.second_second_s)} requests", ratio, 1.1)


def _cycle(running: Running, victim: str, pool: _Pool) -> None:
    spec = LoadSpec(
        url=running.entry_url,
        load=Constant(RATE),
        duration_s=CYCLE_S,
        warmup_s=0.0,
        method="POST",
        headers=JSON,
        body=BODY,
        journal=True,
        stages=False,
    )
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(run, spec)
        time.sleep(1.0)
        apart = _without(running, victim)
        killed = time.monotonic()
        running.kill(victim)
        time.sleep(max(0.0, killed + 2.1 - time.monotonic()))
        running.restart(victim)
        up = time.monotonic()
        journal = loading.result().journal
    events = [event for event in _events(running, victim) if event["at"] >= killed]
    ejected = next(event["at"] for event in events if event["event"] == "ejected")
    restored = next(
        (e["at"] for e in events if e["event"] == "restored" and e["at"] > killed + 2.0), float("inf")
    )
    failed_first = [e for e in events if e["event"] == "retried" and e["at"] <= ejected + 1e-3]
    pool.refused.append(sum(event["reason"] == "refused" for event in failed_first))
    pool.ejected_s.append(ejected - killed)
    pool.restored_s.append(max(0.0, restored - up))
    pool.outcomes += journal
    pool.baseline_s += _between(journal, apart + 0.1, apart + 1.1)
    pool.first_second_s += _between(journal, killed, killed + 1.0)
    pool.second_second_s += _between(journal, killed + 1.0, killed + 2.0)


def _without(running: Running, name: str) -> float:
    """Keep requests away from the instance for a little over a second. Returns when that began."""
    balancer = running.topology.services[0].balancer
    _, instance = running.topology.server(name)
    assert balancer is not None
    ask_balancer(balancer, "DELETE", f"/admin/instances/{name}")
    began = time.monotonic()
    time.sleep(1.15)
    ask_balancer(balancer, "POST", "/admin/instances", {"name": name, "port": instance.port})
    time.sleep(0.2)
    return began


def _events(running: Running, name: str) -> list[dict[str, Any]]:
    balancer = running.topology.services[0].balancer
    assert balancer is not None
    _, events = ask_balancer(balancer, "GET", "/admin/events")
    return [event for event in events if (event["instance"] or "").startswith(f"{name}:")]


def _between(journal: tuple[RequestRecord, ...], begin_s: float, end_s: float) -> list[float]:
    return [e.response_time_s for e in journal if begin_s <= e.intended_ns / 1e9 < end_s and e.succeeded]


def _p99_ms(times_s: list[float]) -> float:
    return float(np.quantile(times_s, 0.99)) * 1000
