"""The garbage collector leaves servers in this process alone while they run, and is as before afterwards."""

from __future__ import annotations

import gc
import weakref

import pytest

import lab
from lab.placement.background import GC_TUNING, THRESHOLDS
from tests.support.placing import claimed


class Cycle:
    def __init__(self) -> None:
        self.me = self


def test_a_topology_in_this_process_spares_itself_collections_until_it_ends() -> None:
    usual = gc.get_threshold()
    with claimed(lab.Topology.sequential()) as topology, lab.start(topology):
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == usual
    assert gc.get_freeze_count() == 0


def test_of_several_topologies_the_last_to_end_gives_the_collector_back() -> None:
    usual = gc.get_threshold()
    with GC_TUNING:
        with GC_TUNING:
            pass
        assert gc.get_threshold() == THRESHOLDS
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == usual


def test_the_collector_is_given_back_when_the_block_fails() -> None:
    usual = gc.get_threshold()
    with pytest.raises(RuntimeError), GC_TUNING:
        raise RuntimeError
    assert (gc.get_threshold(), gc.get_freeze_count()) == (usual, 0)


def test_garbage_from_before_is_collected_afterwards() -> None:
    cycle = Cycle()
    seen = weakref.ref(cycle)
    with GC_TUNING:
        del cycle
        gc.collect()
        assert seen() is not None
    gc.collect()
    assert seen() is None
