"""Who used the processor: the trial's own processes are told from everybody else's."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from contextlib import closing
from types import SimpleNamespace
from typing import IO, Any, cast

import pytest

from lab.load.process_limits import ThreadTimes
from lab.load.result import Progress
from lab.measure import machine_watch
from lab.measure.machine_watch import Contention, MachineWatch, _Sample
from lab.placement.ports import reserved_offset
from lab.sweep import plan_sweep
from lab.sweep.trial import run_trial
from lab.topology import Topology
from tests.support.neighbours import busy_loops

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def test_a_trial_beside_busy_loops_says_so_and_stands_where_they_moved_nothing() -> None:
    """Two seconds of work bear that every wake-up waits for some ms, here and on any machine."""
    with busy_loops(4, nice=5), reserved_offset(Topology.parallel()) as offset:
        plan = plan_sweep(
            topology="parallel", work_ms=500, concurrency=8, trials=1, duration_s=5, port_offset=offset
        )
        ((trial, factors),) = plan.order()
        row = run_trial(trial, factors, plan.generators, port_offset=offset)
    assert row.health.invalid_reason is None
    assert (row.health.others_cpu_cores or 0.0) > 0.3
    assert row.outcome.throughput_rps is not None
    assert (row.health.disturbance_ms or 0.0) < 100
    assert row.health.disturbed_by != "generator"


WINDOW: Any = SimpleNamespace(warmup_s=0.0, window_s=1.0, generators=())
LISTEN = """
import socket, time
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
time.sleep(60)
"""


def watched(watch: MachineWatch, *, at_s: tuple[float, ...] = (0.0, 1.0)) -> Contention:
    for each in at_s:
        watch(Progress(elapsed_s=each, total_s=1.0, succeeded=0, failed=0, in_flight=0))
        time.sleep(0.05)
    found = watch.contention(WINDOW)
    assert found is not None
    return found


def test_what_was_started_before_the_watch_is_no_part_of_the_trial() -> None:
    with busy_loops(1):
        assert watched(MachineWatch()).servers == ()
        watch = MachineWatch()
        with busy_loops(2):
            assert len(watched(watch).servers) == 2


def test_a_server_that_listens_at_the_url_is_of_the_trial() -> None:
    with subprocess.Popen([sys.executable, "-c", LISTEN], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            assert len(watched(MachineWatch(None, f"http://127.0.0.1:{port}/")).servers) == 1
        finally:
            server.kill()


def test_nobody_is_taken_for_a_server_at_a_url_that_is_elsewhere() -> None:
    assert watched(MachineWatch(None, "http://192.0.2.1:80/")).servers == ()


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/", "unix:/run/nobody-listens.sock:/"])
def test_where_it_is_not_known_who_serves_nobody_is_taken_for_others(url: str) -> None:
    """As where the server is another user's: what it computes is the result, and no disturbance."""
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))
        watch = MachineWatch(None, url.format(port=unused.getsockname()[1]))
        for each in (0.0, 1.0):
            watch(Progress(elapsed_s=each, total_s=1.0, succeeded=0, failed=0, in_flight=0))
        assert watch.contention(WINDOW) is None


CONNECTED = """
import socket, time
back_end = socket.create_connection(("127.0.0.1", {port}))
""" + LISTEN.removeprefix("\nimport socket, time")


def test_the_back_end_of_a_server_is_of_the_trial_and_what_it_used_before_does_not_count() -> None:
    commands = [sys.executable, "-c"]
    with subprocess.Popen(
        [*commands, "sum(range(10**7))" + LISTEN], stdout=subprocess.PIPE, text=True
    ) as back:
        port = int(cast(IO[str], back.stdout).readline())
        program = CONNECTED.format(port=port)
        with subprocess.Popen([*commands, program], stdout=subprocess.PIPE, text=True) as server:
            try:
                url = f"http://127.0.0.1:{int(cast(IO[str], server.stdout).readline())}/"
                found = watched(MachineWatch(None, url))
                assert len(found.servers) == 2
                assert found.own_cpu_cores < 1
            finally:
                server.kill()
                back.kill()


def test_what_the_host_took_while_programs_ran_is_told_of_each() -> None:
    watch, thread = MachineWatch(), (1, 1)
    watch._samples += [
        _Sample(0.0, 0.0, 0.0, {thread: ThreadTimes(0.0, 0.0, 0)}),
        _Sample(1.0, 1.0, 0.25, {thread: ThreadTimes(0.4, 0.0, 10)}),
    ]
    found = watch.contention(WINDOW)
    assert found is not None
    assert found.others_cpu_cores == pytest.approx(0.6 + 0.25)
    assert found.servers[0].stolen == pytest.approx(0.1)


def test_a_system_that_counts_no_waits_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_watch, "tells_waits", lambda: False)
    watch = MachineWatch(None, "http://127.0.0.1:1/")
    for each in (0.0, 1.0):
        watch(Progress(elapsed_s=each, total_s=1.0, succeeded=0, failed=0, in_flight=0))
    assert watch.contention(WINDOW) is None


def test_one_look_says_nothing() -> None:
    watch = MachineWatch()
    watch(Progress(elapsed_s=0.0, total_s=1.0, succeeded=0, failed=0, in_flight=0))
    assert watch.contention(WINDOW) is None
