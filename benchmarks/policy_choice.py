"""Measure how evenly policies choose, and how the cost of a choice grows with the number of instances."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice

from benchmarks.goals import GoalFigure, at_most
from services.balancer.instances import InstanceState
from services.balancer.policies import Policy, PolicyName, build

__all__ = ["policy_choice"]

CHOICES = 10_000
WEIGHTS = (5, 1, 3, 2)
FEW, MANY = 10, 10_000
GROWTH = 4.0
"""A logarithm grows by this factor from ten to ten thousand; a scan would grow by a thousand."""


def policy_choice() -> Iterator[GoalFigure]:
    """Check round robin in any window, weighted round robin in any cycle, and how the cost grows."""
    for count in (2, 3, 4, 16):
        policy = _policy(PolicyName.ROUND_ROBIN, [1] * count)
        names = [each.name for each in islice(_chosen(policy), CHOICES)]
        worst = max(_spread(names, window, count) for window in range(1, 5 * count))
        yield at_most(f"round robin over {count}: max − min in any window", worst, 1)
    policy = _policy(PolicyName.WEIGHTED_ROUND_ROBIN, list(WEIGHTS))
    names = [each.name for each in islice(_chosen(policy), CHOICES)]
    cycle = sum(WEIGHTS)
    wanted = Counter({str(n): weight for n, weight in enumerate(WEIGHTS)})
    off = sum(Counter(names[i : i + cycle]) != wanted for i in range(0, CHOICES - cycle, cycle))
    yield at_most(f"weighted {WEIGHTS}: cycles that are not exact", off, 0)
    for name in PolicyName:
        growth = _cost_us(name, MANY) / _cost_us(name, FEW)
        yield at_most(f"{name}: a choice of {MANY:,} beside one of {FEW}", growth, GROWTH)


def _policy(name: PolicyName, weights: list[int]) -> Policy:
    policy = build(name, limit=None, seed=1)
    for number, weight in enumerate(weights):
        policy.add(InstanceState(str(number), "127.0.0.1", 1 + number, weight))
    return policy


def _chosen(policy: Policy) -> Iterator[InstanceState]:
    """Yield choices one after the other; each is answered a while later."""
    under_way: deque[InstanceState] = deque()
    now = 0.0
    while True:
        now += 0.001
        instance = policy.choose(now)
        assert instance is not None
        policy.started(instance, now)
        under_way.append(instance)
        if len(under_way) > 1:
            policy.finished(under_way.popleft(), now, 0.002)
        yield instance


def _spread(names: list[str], window: int, count: int) -> int:
    """Return the greatest difference in any window between the instances chosen most and least often."""
    inside = Counter(names[:window])
    worst = 0
    for coming, going in zip(names[window:], names, strict=False):
        found = [inside[str(n)] for n in range(count)]
        worst = max(worst, max(found) - min(found))
        inside[coming] += 1
        inside[going] -= 1
    return worst


def _cost_us(name: PolicyName, count: int) -> float:
    """Return the CPU of a choice and its answer, in microseconds: the least of three, after a warm-up."""
    chosen = _chosen(_policy(name, [1] * count))
    costs = []
    for _ in range(3):
        begun = time.process_time()
        for _ in islice(chosen, CHOICES):
            pass
        costs.append((time.process_time() - begun) / CHOICES * 1e6)
    return min(costs)
