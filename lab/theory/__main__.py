"""The simulator against what is known exactly: `python -m lab.theory`, a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lab.theory.model import Stage
from lab.theory.policies import power_of_two_mean_response_time, round_robin_mean_response_time
from lab.theory.queues import mm1_mean_response_time, mmc_mean_response_time
from lab.theory.simulator import simulate
from lab.theory.traffic import Poisson
from services.balancer.policies import PolicyName

UTILIZATION = 0.8
BATCH = 1_000_000


@dataclass(frozen=True)
class Case:
    """A policy whose mean response time is known, in service times, and how many requests to send."""

    policy: PolicyName
    instances: int
    exact: float
    batches: int
    warmup: int


def cases() -> Iterator[Case]:
    yield Case(PolicyName.RANDOM, 4, mm1_mean_response_time(UTILIZATION, 1.0), 8, 10_000)
    yield Case(PolicyName.ROUND_ROBIN, 4, round_robin_mean_response_time(UTILIZATION, 1.0, 4), 8, 10_000)
    yield Case(PolicyName.CENTRAL_QUEUE, 4, mmc_mean_response_time(4 * UTILIZATION, 1.0, 4), 4, 10_000)
    # Empty at first, 10,000 instances take some 50 service times to fill.
    yield Case(PolicyName.POWER_OF_TWO, 10_000, power_of_two_mean_response_time(UTILIZATION, 1.0), 2, 400_000)


def main() -> None:
    """Print a line a policy: simulated, exact, the difference, and how fast that went."""
    print(
        f"mean response time in service times, exponential, utilization {UTILIZATION}, with its 95 % interval"
    )
    for case in cases():
        begun, cpu = time.perf_counter(), time.process_time()
        stage = Stage(case.instances, policy=case.policy)
        traffic = Poisson(UTILIZATION * case.instances)
        runs = [
            simulate(stage, traffic, requests=BATCH, warmup=case.warmup, seed=seed)
            for seed in range(case.batches)
        ]
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        mean = float(np.mean([run.mean_s for run in runs]))
        margin = float(np.sqrt(np.sum([run.margin_s() ** 2 for run in runs]))) / len(runs)
        sent = case.batches * (BATCH + case.warmup)
        print(
            f"{case.policy:14} {case.instances:6} instances {mean:.3f} ± {margin:.3f}, exact {case.exact:.3f}"
            f" ({mean / case.exact - 1:+.2%}); {sent:,} requests in {took:.1f} s ({cpu:.1f} s of CPU)",
            flush=True,
        )


if __name__ == "__main__":
    main()
