"""Options make the topology they say, and survive the way to another process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lab.cli.topology_options import TopologyOptions
from lab.errors import BadParameter
from lab.names import BalancerName, PlacementName, TopologyName
from services.balancer.settings import PolicyName
from services.names import ClientName, Distribution, WorkKind

means = st.floats(0, 1000)
options = st.builds(
    TopologyOptions,
    topology=st.sampled_from(TopologyName),
    replicas=st.integers(1, 8),
    policy=st.sampled_from(PolicyName),
    client=st.sampled_from(ClientName),
    work=st.sampled_from(WorkKind),
    work_ms=means.map(lambda mean: (mean,)) | st.tuples(means, means, means, means),
    work_distribution=st.sampled_from(Distribution),
    slots=st.integers(1, 9),
    seed=st.integers(0, 99),
    offset=st.integers(0, 50_000),
    placement=st.sampled_from(PlacementName),
    balancer=st.sampled_from(BalancerName),
)


@given(options=options)
def test_options_are_the_same_after_a_trip_through_json(options: TopologyOptions) -> None:
    json = TypeAdapter(TopologyOptions)
    assert json.validate_json(json.dump_json(options)) == options


@given(options=options)
def test_a_topology_is_what_its_options_say(options: TopologyOptions) -> None:
    topology = options.build()
    assert topology.name == options.topology
    assert {service.client for service in topology.services} == {options.client}
    assert {service.balancer.policy for service in topology.services if service.balancer} <= {options.policy}
    means = [service.work.mean_ms for service in topology.services]
    assert means == list(options.work_ms * 4 if len(options.work_ms) == 1 else options.work_ms)
    assert all((s.work.slots, s.work.kind) == (options.slots, options.work) for s in topology.services)
    assert min(port for _, port in topology.ports()) == 8051 + options.offset


def test_work_for_too_many_services_is_refused() -> None:
    with pytest.raises(BadParameter, match="give one for all services, or 4"):
        TopologyOptions(TopologyName.SEQUENTIAL, work_ms=(1.0, 2.0, 3.0, 4.0, 5.0)).build()
