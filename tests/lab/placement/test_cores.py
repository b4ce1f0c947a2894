"""Servers stay on the cores that they are given, so that load generators can have others to themselves."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import psutil
import pytest

import lab
from lab.errors import BadParameter, NotSupported
from lab.placement.cores import cores_beside, kept_on, moved_to
from lab.topology import Topology
from tests.support.placing import claimed

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")


def affinities(pid: int) -> set[frozenset[int]]:
    """What every thread of a process is kept on."""
    return {frozenset(os.sched_getaffinity(thread.id)) for thread in psutil.Process(pid).threads()}


@pytest.fixture
def core() -> int:
    """One of the cores there are."""
    return min(os.sched_getaffinity(0))


def test_servers_have_the_cores_that_generators_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 5})
    assert cores_beside((1,)) == {0, 2, 5}
    assert cores_beside((0, 5)) == {1, 2}


def test_generators_that_take_every_core_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    with pytest.raises(BadParameter, match=r"cpu 3 leaves no core to the servers.*\[3\]"):
        cores_beside((3,))


def test_a_core_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with pytest.raises(BadParameter, match=r"cpu 7 cannot be had.*\[0, 1\]"):
        cores_beside((1, 7))


def test_a_system_that_keeps_nothing_on_a_core_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(BadParameter, match="leave cpu out"):
        cores_beside((1,))


def test_what_a_thread_starts_in_the_block_is_kept_there_and_the_thread_is_free_again(core: int) -> None:
    before = os.sched_getaffinity(0)
    seen: list[set[int]] = []
    thread = threading.Thread(target=lambda: seen.append(os.sched_getaffinity(0)))
    with kept_on({core}):
        thread.start()
    thread.join()
    assert seen == [{core}]
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("restarted", [False, True])
def test_the_thread_of_in_process_servers_is_kept_on_them(core: int, restarted: bool) -> None:
    with claimed(Topology.sequential()) as topology, lab.start(topology, cores={core}) as running:
        if restarted:
            running.restart("service2")
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "lab sequential"]
        assert thread.native_id is not None
        assert os.sched_getaffinity(thread.native_id) == {core}


def test_every_process_of_servers_is_kept_on_them_also_after_a_restart(core: int) -> None:
    with (
        claimed(Topology.sequential()) as topology,
        lab.start(topology, placement=lab.PlacementName.PROCESSES, cores={core}) as running,
    ):
        running.restart("service3")
        pids = [pid for pid in running.incarnations().values() if isinstance(pid, int)]
        assert len(pids) == 4
        assert set.union(*map(affinities, pids)) == {frozenset({core})}


def test_what_is_remote_cannot_be_kept_on_cores(core: int) -> None:
    with pytest.raises(NotSupported, match="remote"):
        lab.start(Topology.sequential(), placement=lab.PlacementName.REMOTE, cores={core})


def test_a_process_with_all_that_it_started_is_moved_and_comes_back(core: int) -> None:
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", child], stdin=-1, stdout=-1) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        pids = [parent.pid, *(process.pid for process in psutil.Process(parent.pid).children())]
        assert len(pids) == 2
        before = set.union(*map(affinities, pids))
        with moved_to({core}, parent.pid):
            assert set.union(*map(affinities, pids)) == {frozenset({core})}
        assert set.union(*map(affinities, pids)) == before
        parent.communicate(b"\n")


def test_without_cores_nothing_is_moved() -> None:
    before = os.sched_getaffinity(0)
    with kept_on(()), moved_to((), os.getpid()):
        assert os.sched_getaffinity(0) == before
