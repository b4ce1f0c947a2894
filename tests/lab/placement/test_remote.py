"""What runs elsewhere is asked and loaded, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import lab
from lab.errors import NotRunning, NotSupported
from lab.placement.protocol_http import is_healthy
from tests.support.placing import claimed, pairs


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[lab.Topology]:
    with claimed(pairs()) as topology, lab.start(topology):
        yield topology


def test_it_is_asked_for_its_statistics_and_left_running(elsewhere: lab.Topology) -> None:
    with lab.start(elsewhere, placement=lab.PlacementName.REMOTE) as running:
        assert set(running.stats()) == {f"service{n}-loadbalancer" for n in (1, 2, 3, 4)}
        assert running.alive("service1a")
        assert running.logs("service1a") == ""
    assert all(is_healthy(host, port) for _, host, port in elsewhere.addresses())


def test_what_it_uses_is_not_known(elsewhere: lab.Topology) -> None:
    with lab.start(elsewhere, placement=lab.PlacementName.REMOTE) as running:
        assert running.cpu_seconds() == lab.Usage(servers_s=None, balancers_s=None)
        assert running.rss_mb() is None
        assert running.balancers_rss_mb() is None


def test_it_cannot_be_hurt_or_changed(elsewhere: lab.Topology) -> None:
    with lab.start(elsewhere, placement=lab.PlacementName.REMOTE) as running:
        for blow in (running.kill, running.freeze, running.thaw, running.restart, running.remove_instance):
            with pytest.raises(NotSupported, match="where it runs"):
                blow("service1a")
        with pytest.raises(NotSupported, match="where it runs"):
            running.add_instance("service1")


def test_a_url_is_enough(elsewhere: lab.Topology) -> None:
    with lab.start(lab.Topology.at(elsewhere.entry_url), placement=lab.PlacementName.REMOTE) as running:
        assert running.entry_url == elsewhere.entry_url
        assert running.stats() == {}


@pytest.mark.parametrize("protocol", lab.ProtocolName)
def test_what_does_not_run_there_is_an_error_that_names_it(
    protocol: lab.ProtocolName, claim: Callable[[lab.Topology], lab.Topology]
) -> None:
    nowhere = claim(lab.Topology.sequential().with_protocol(protocol))
    with (
        pytest.raises(NotRunning, match=f"{nowhere.entry_url}: start it there"),
        lab.start(nowhere, placement=lab.PlacementName.REMOTE),
    ):
        pass
