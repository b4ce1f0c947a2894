"""What servers are told follows from the topology."""

from __future__ import annotations

from dataclasses import replace

import pytest

import lab
from lab.errors import BadParameter
from lab.placement.server_settings import balancer_settings, service_settings
from services.balancer.settings import PolicyName


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
