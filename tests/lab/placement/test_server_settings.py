"""The settings of servers follow from the topology."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

import lab
from lab.errors import BadParameter, NotSupported
from lab.placement.server_settings import balancer_settings, service_settings
from services.balancer.settings import PolicyName
from tests.support.placing import attempts, claimed, post


@pytest.mark.parametrize("policy", PolicyName)
def test_a_central_queue_fills_the_slots_of_an_instance_and_other_policies_limit_nothing(
    policy: PolicyName,
) -> None:
    topology = lab.Topology.parallel().with_policy(policy).with_work(lab.Work(slots=3))
    limits = {balancer_settings(topology, service).in_flight_limit for service in topology.services}
    assert limits == {3 if policy is PolicyName.CENTRAL_QUEUE else 0}


def test_a_name_that_no_server_can_have_is_a_bad_parameter() -> None:
    topology = lab.Topology.parallel(1)
    service = topology.services[3]
    assert service.balancer
    (instance,) = service.instances
    named = replace(
        service, balancer=replace(service.balancer, name="a b"), instances=(replace(instance, name="c d"),)
    )
    topology = replace(topology, services=(*topology.services[:3], named))
    with pytest.raises(BadParameter, match=r"a b cannot be set up: .*use letters"):
        balancer_settings(topology, named)
    with pytest.raises(BadParameter, match=r"c d cannot be set up: .*use letters"):
        service_settings(topology, named, named.instances[0])


def served_by(topology: lab.Topology, requests: int) -> list[tuple[str, ...]]:
    """Send requests one at a time; return for each the instances that served it, in order of service."""
    names = [service.name for service in topology.services]
    served = []
    with lab.start(topology) as running:
        before = [attempts(running, name) for name in names]
        for _ in range(requests):
            assert post(running.entry_url) == 200
            after = [attempts(running, name) for name in names]
            served.append(
                tuple(
                    next(name for name, count in new.items() if count > old[name])
                    for old, new in zip(before, after, strict=True)
                )
            )
            before = after
    return served


@pytest.mark.parametrize("policy", [PolicyName.RANDOM, PolicyName.POWER_OF_TWO])
def test_stages_draw_lots_of_their_own_and_the_same_seed_draws_them_again(policy: PolicyName) -> None:
    with claimed(lab.Topology.parallel()) as topology:
        once = served_by(topology.with_policy(policy, seed=1), 32)
        again = served_by(topology.with_policy(policy, seed=1), 32)
        other = served_by(topology.with_policy(policy, seed=2), 32)
    assert once == again
    letters = [[name[-1] for name in stage] for stage in zip(*once, strict=True)]
    for one, another in combinations(letters, 2):
        alike = sum(a == b for a, b in zip(one, another, strict=True))
        assert alike < 24  # 8 of 32 are expected where lots are independent
    for stage, same in zip(zip(*once, strict=True), zip(*other, strict=True), strict=True):
        assert stage != same


def test_the_balancers_of_a_topology_share_a_seed_and_draw_from_seeds_of_their_own() -> None:
    topology = lab.Topology.parallel().with_policy(PolicyName.RANDOM, seed=5)
    settings = [balancer_settings(topology, service) for service in topology.services]
    assert {each.seed for each in settings} == {5}
    assert len({each.policy_seed for each in settings}) == 4


def test_a_balancers_settings_are_its_defaults_but_for_what_is_tuned() -> None:
    untuned = lab.Topology.parallel()
    topology = untuned.with_tuning(retry_ratio=0, retry_statuses=[503])
    for before, after in zip(untuned.services, topology.services, strict=True):
        plain, tuned = balancer_settings(untuned, before), balancer_settings(topology, after)
        assert tuned == replace(plain, retry_ratio=0, retry_statuses=frozenset({503}))


@pytest.mark.parametrize("placement", [lab.PlacementName.IN_PROCESS, lab.PlacementName.PROCESSES])
def test_a_balancer_that_runs_heeds_its_tuning_and_a_restarted_one_too(placement: lab.PlacementName) -> None:
    with (
        claimed(lab.Topology.parallel(1).with_tuning(body_limit_bytes=20)) as topology,
        lab.start(topology, placement=placement) as running,
    ):
        assert post(running.entry_url) == 413
        running.restart("service1-loadbalancer")
        assert post(running.entry_url) == 413


@pytest.mark.parametrize("balancer", [b for b in lab.BalancerName if b is not lab.BalancerName.BUILTIN])
def test_other_balancers_refuse_a_tuning_with_the_reason(balancer: lab.BalancerName) -> None:
    tuned = lab.Topology.parallel().with_tuning(retry_ratio=0)
    with pytest.raises(NotSupported, match=f"the built-in balancer, and {balancer} has a configuration"):
        lab.start(tuned, balancer=balancer)


def test_a_remote_topology_refuses_a_tuning_which_cannot_reach_it() -> None:
    with pytest.raises(NotSupported, match="tuning cannot reach remote balancers"):
        lab.start(lab.Topology.parallel().with_tuning(rise=1), placement=lab.PlacementName.REMOTE)
