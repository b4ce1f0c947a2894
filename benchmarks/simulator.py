"""The simulator beside what is known exactly, and how fast it is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from benchmarks.goals import Finding, at_least, at_most
from lab.theory.__main__ import BATCH, UTILIZATION, cases
from lab.theory.model import Stage
from lab.theory.simulator import simulate
from lab.theory.traffic import Poisson
from services.balancer.policies import PolicyName

__all__ = ["simulator"]

FEW_OFF, MANY_OFF = 1.0, 2.0


def simulator() -> Iterator[Finding]:
    """Mean response times of policies with an exact answer, and requests simulated in ten seconds of CPU."""
    for case in cases():
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
