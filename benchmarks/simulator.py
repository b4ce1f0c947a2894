"""Compare the simulator with exact results, and measure how fast it is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.goals import GoalFigure, at_least, at_most
from lab.arrivals import Poisson
from lab.theory.model import Stage
from lab.theory.queues import (
    mm1_mean_response_time,
    mmc_mean_response_time,
    power_of_two_mean_response_time,
    round_robin_mean_response_time,
)
from lab.theory.simulator import simulate
from services.balancer.policies import PolicyName

__all__ = ["simulator"]

UTILIZATION = 0.8
BATCH = 1_000_000


@dataclass(frozen=True)
class _Case:
    """A policy whose mean response time is known, in service times, and how many requests to send."""

    policy: PolicyName
    instances: int
    exact: float
    batches: int
    warmup: int


def _cases() -> Iterator[_Case]:
    yield _Case(PolicyName.RANDOM, 4, mm1_mean_response_time(UTILIZATION, 1.0), 8, 10_000)
    yield _Case(PolicyName.ROUND_ROBIN, 4, round_robin_mean_response_time(UTILIZATION, 1.0, 4), 8, 10_000)
    yield _Case(PolicyName.CENTRAL_QUEUE, 4, mmc_mean_response_time(4 * UTILIZATION, 1.0, 4), 4, 10_000)
    # Empty at first, 10,000 instances take some 50 service times to fill.
    yield _Case(
        PolicyName.POWER_OF_TWO, 10_000, power_of_two_mean_response_time(UTILIZATION, 1.0), 2, 400_000
    )


FEW_OFF, MANY_OFF = 1.0, 2.0


def simulator() -> Iterator[GoalFigure]:
    """Simulate policies with an exact mean response time, and count requests simulated in 10 s of CPU."""
    for case in _cases():
        stage = Stage(case.instances, policy=case.policy)
        traffic = Poisson(UTILIZATION * case.instances)
        cpu = time.process_time()
        runs = [
            simulate(stage, traffic, requests=BATCH, warmup=case.warmup, seed=seed)
            for seed in range(case.batches)
        ]
        rate = case.batches * (BATCH + case.warmup) / (time.process_time() - cpu)
        off = abs(float(np.mean([run.mean_s for run in runs])) / case.exact - 1) * 100
        what = f"{case.policy}, {case.instances:,} instances"
        limit = MANY_OFF if case.policy is PolicyName.POWER_OF_TWO else FEW_OFF
        yield at_most(f"{what}: off the exact {case.exact:.3f} service times", off, limit, "%")
        yield at_least(f"{what}: requests in 10 s of CPU", 10 * rate, 1e6)
