"""What servers are told follows from the topology."""

from __future__ import annotations

import pytest

import lab
from lab.placement.building import balancer_settings
from services.balancer.settings import PolicyName


@pytest.mark.parametrize("policy", PolicyName)
def test_a_central_queue_fills_the_slots_of_an_instance_and_other_policies_limit_nothing(
    policy: PolicyName,
) -> None:
    topology = lab.Topology.parallel().with_policy(policy).with_work(lab.Work(slots=3))
    limits = {balancer_settings(topology, service).in_flight_limit for service in topology.services}
    assert limits == {3 if policy is PolicyName.CENTRAL_QUEUE else 0}
