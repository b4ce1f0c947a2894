"""Scripted instances, and external load balancers before them, on ports that last as long as a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from lab.names import BalancerName
from lab.placement.proxies import PROXIES, Profile, ProxyProcess
from lab.topology import Topology
from services.balancer.settings import Address, BalancerSettings
from tests.support.placing import claimed, require
from tests.support.scripted_instances import ScriptedInstances

MakeSettings = Callable[..., BalancerSettings]
StartProxy = Callable[..., ProxyProcess]


@pytest.fixture
def instances() -> Iterator[ScriptedInstances]:
    """Three of them: service1a, service1b and service1c."""
    instances = ScriptedInstances()
    instances.start("service1a", "service1b", "service1c")
    yield instances
    instances.stop()


@pytest.fixture
def make_settings(instances: ScriptedInstances) -> Iterator[MakeSettings]:
    """Makes settings of a balancer before those instances, on a port that no other test is given."""
    with claimed(Topology.parallel()) as topology:
        port = topology.entry.port

        def make(weights: tuple[int, ...] = (1, 1, 1), **changes: Any) -> BalancerSettings:
            addresses = tuple(
                Address(instance.name, "127.0.0.1", instance.port, weight)
                for instance, weight in zip(instances.by_name.values(), weights, strict=True)
            )
            return BalancerSettings(
                **{"service": "service1", "port": port, "instances": addresses, "timeout_s": 30.0, **changes}
            )

        yield make


@pytest.fixture
def start_proxy(make_settings: MakeSettings) -> Iterator[StartProxy]:
    """Starts an external load balancer, or skips the test where its program is not installed."""
    with ExitStack() as running:

        def start(name: BalancerName, profile: Profile = Profile.MATCHED, **changes: Any) -> ProxyProcess:
            require(name)
            proxy = ProxyProcess(PROXIES[name], make_settings(**changes), profile)
            running.callback(proxy.kill)
            proxy.start()
            return proxy

        yield start
