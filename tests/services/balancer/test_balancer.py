"""What all requests of one balancer share: here, whether balancers choose independently of each other."""

from __future__ import annotations

import pytest

from services.addresses import Address
from services.balancer.balancer import LoadBalancer
from services.balancer.policies import PolicyName
from services.balancer.server import BalancerServer
from services.balancer.settings import BalancerSettings

INSTANCES = tuple(Address(f"service1{letter}", "127.0.0.1", 8051) for letter in "abcd")


async def choices(service: str, policy: PolicyName, seed: int, name: str = "") -> list[str]:
    """The instances that a new balancer chooses for 64 requests, each of which stays in flight."""
    settings = BalancerSettings(service, 0, INSTANCES, name=name, policy=policy, seed=seed)
    balancer = LoadBalancer(settings, BalancerServer(settings))
    chosen = []
    for now in range(64):
        instance = balancer.choose(float(now), ())
        assert instance is not None
        balancer.instances.started(instance, float(now))
        chosen.append(instance.name)
    balancer.close()
    return chosen


RANDOM = [PolicyName.RANDOM, PolicyName.POWER_OF_TWO]


@pytest.mark.parametrize("policy", RANDOM)
async def test_balancers_of_different_names_choose_differently_with_one_seed(policy: PolicyName) -> None:
    sequences = [await choices(f"service{number}", policy, seed=7) for number in (1, 2, 3, 4)]
    assert len({tuple(sequence) for sequence in sequences}) == 4


@pytest.mark.parametrize("policy", RANDOM)
async def test_a_balancer_repeats_its_choices_with_the_same_name_and_seed(policy: PolicyName) -> None:
    assert await choices("service1", policy, seed=7) == await choices("service1", policy, seed=7)


@pytest.mark.parametrize("policy", RANDOM)
async def test_a_balancer_chooses_differently_with_another_seed(policy: PolicyName) -> None:
    assert await choices("service1", policy, seed=7) != await choices("service1", policy, seed=8)


async def test_it_is_the_name_of_the_balancer_that_counts_and_not_the_services() -> None:
    one = await choices("service1", PolicyName.RANDOM, 7, name="one")
    assert one != await choices("service1", PolicyName.RANDOM, 7, name="other")
    assert one == await choices("service2", PolicyName.RANDOM, 7, name="one")
