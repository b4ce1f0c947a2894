"""Faults are data that a person can write, and what makes no sense is refused before anything is started."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.faults.fault import Fault, FaultKind, timeline
from lab.faults.injector import require_targets
from lab.topology import Topology

times = st.integers(4, 500).map(lambda n: n / 4)
shares = st.integers(1, 100).map(lambda n: n / 100)
plain = st.builds(Fault, times, st.sampled_from([FaultKind.KILL, FaultKind.FREEZE]), st.just("s1a"), times)
slow = st.builds(Fault, times, st.just(FaultKind.SLOW), st.just("s1a"), times, times)
partial = st.builds(
    Fault, times, st.sampled_from([FaultKind.ERRORS, FaultKind.DROP]), st.just("s1a"), times, shares
)
restarts = st.builds(Fault, times, st.just(FaultKind.RESTART), st.just("s1a"))


@given(st.one_of(plain, slow, partial, restarts))
def test_a_fault_is_read_back_from_how_it_is_written(fault: Fault) -> None:
    assert Fault.parse(str(fault)) == fault


@pytest.mark.parametrize(
    "text",
    [
        "kill service1b",
        "at 4 maim service1b for 3",
        "at 4 kill service1b",
        "at 0.5 kill service1b for 3",
        "at 4 kill service1b x4 for 3",
        "at 4 errors service1b 200% for 3",
        "at 4 drop service1b 0% for 3",
        "at 4 slow service1b x0 for 3",
        "at 4 restart service1b for 3",
        "at 4.4.4 kill service1b for 3",
        "",
    ],
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(BadParameter):
        Fault.parse(text)


def test_a_timeline_is_in_order_of_time() -> None:
    faults = timeline(["at 9 kill b for 1", Fault(4, FaultKind.RESTART, "a"), "at 2 kill a for 1"])
    assert [fault.at_s for fault in faults] == [2, 4, 9]


def test_a_server_has_one_fault_at_a_time() -> None:
    with pytest.raises(BadParameter, match="two faults at once"):
        timeline(["at 2 kill a for 5", "at 3 freeze b for 1", "at 4 freeze a for 1"])


def test_faults_hit_servers_that_are_there_and_can_have_them() -> None:
    topology = Topology.parallel()
    require_targets(
        topology, timeline(["at 2 kill service1-loadbalancer for 1", "at 4 slow service4d for 1"])
    )
    for wrong in ("at 2 kill service9a for 1", "at 2 errors service1-loadbalancer for 1"):
        with pytest.raises(BadParameter):
            require_targets(topology, timeline([wrong]))
