"""What `lab` says and how it exits, whatever is typed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from lab.cli import benchmark_run, startup
from lab.cli.state import everything_up
from lab.load import run as process_of_load
from lab.load.result import LoadResult
from lab.machine import usable_cores
from lab.placement import PlacementName

Lab = Callable[..., Any]


def connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closes this very moment
        return False
    return True


@contextmanager
def process(*arguments: str | int) -> Iterator[subprocess.Popen[str]]:
    """`lab …` in a process of its own."""
    command = [sys.executable, "-m", "lab.cli", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as started:
        try:
            yield started
        except BaseException:
            started.kill()
            raise


def read_until(started: subprocess.Popen[str], text: str) -> None:
    assert started.stdout is not None
    while text not in (line := started.stdout.readline()):
        assert line, started.communicate()


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def test_help_lists_the_commands_without_importing_servers_or_charts() -> None:
    heavy = ("fastapi", "uvicorn", "httpx", "pandas", "matplotlib", "numpy", "rich.markdown")
    code = f"import sys, lab.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_that_of_the_distribution(lab: Lab) -> None:
    done = lab("--version")
    assert (done.returncode, done.stdout) == (0, f"pipeline-lab {version('pipeline-lab')}\n")


def test_a_command_that_does_not_exist_is_misuse(lab: Lab) -> None:
    done = lab("fly")
    assert done.returncode == 2
    assert "fly" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("stats",), ("logs",), ("restart",), ("kill", "service1"), ("down",), ("test",), ("benchmark",)],
)
def test_with_nothing_up_each_command_says_so_in_one_line(lab: Lab, arguments: tuple[str, ...]) -> None:
    done = lab(*arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["lab: nothing is up: start something with `lab up parallel --detach`"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sequential", "--work-ms", "a"), "--work-ms"),
        (("sequential", "--work-ms", "1,2"), "--work-ms"),
        (("sequential", "--work-ms", "-1"), "--work-ms has -1"),
        (("sequential", "--replicas", "3"), "--replicas is for parallel"),
        (("sequential", "--offset", "60000"), "port"),
    ],
)
def test_an_option_that_makes_no_sense_is_misuse_said_in_one_line(
    lab: Lab, arguments: tuple[str, ...], said: str
) -> None:
    done = lab("up", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("lab: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_topology_in_the_background_serves_every_command_from_other_shells(lab: Lab, offset: int) -> None:
    up = lab("up", "sequential", "--detach", "--work-ms", 1, "--offset", offset)
    assert up.returncode == 0, up.stderr
    for fact in ("sequential is up (in-process): 4 instances", str(8051 + offset), "/analyze", "lab down"):
        assert fact in up.stdout

    assert "all as documented" in lab("test").stdout
    assert "service3" in lab("logs").stdout

    assert lab("kill", "service2").returncode == 0
    failing = lab("test")
    assert failing.returncode == 1
    assert "FAIL service2 is healthy" in failing.stdout
    assert lab("kill", "service2").stderr.startswith("lab: service2 is down already")
    assert "killed" in lab("logs", "service2").stdout
    assert lab("restart", "service2").returncode == 0
    assert lab("test").returncode == 0
    assert lab("restart").stdout.count("restarted") == 4

    assert "no server 'service9'" in lab("kill", "service9").stderr
    assert lab("down").returncode == 0
    assert not connects(8051 + offset)
    assert "nothing is up" in lab("stats").stderr


def test_an_entry_that_is_down_is_told_in_the_statistics_and_ends_the_test_at_once(
    lab: Lab, offset: int
) -> None:
    lab("up", "parallel", "--replicas", 2, "--detach", "--work-ms", 1, "--offset", offset)
    lab("kill", "service1-loadbalancer")
    rows = [line.split() for line in lab("stats").stdout.splitlines()]
    assert ["service1-loadbalancer", "down"] in rows
    assert sum(row[0].endswith("-loadbalancer") for row in rows) == 4
    done = lab("test")
    assert done.returncode == 1
    failures = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failures) == 2
    assert "`lab restart service1-loadbalancer`" in failures[-1]


def test_a_topology_may_be_kept_up_in_processes(lab: Lab, offset: int) -> None:
    up = lab("up", "sequential", "--detach", "--placement", "processes", "--work-ms", 1, "--offset", offset)
    assert "sequential is up (processes): 4 instances" in up.stdout, up.stderr
    assert "all as documented" in lab("test").stdout
    assert "listens on" in lab("logs", "service2").stdout
    assert lab("down").returncode == 0
    assert not connects(8054 + offset)


def test_a_second_topology_on_the_same_ports_is_refused_and_says_what_is_up(lab: Lab, offset: int) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    second = lab("up", "parallel", "--offset", offset)
    assert second.returncode == 1
    assert "sequential is up already" in second.stderr


def test_of_two_that_start_at_once_one_stays_up_and_the_other_says_why_it_does_not(
    lab: Lab, offset: int, tmp_path: Path
) -> None:
    arguments = ("up", "sequential", "--detach", "--offset", offset)
    with process(*arguments) as one, process(*arguments) as other:
        said = {up: up.communicate() for up in (one, other)}
    loser, winner = sorted(said, key=lambda up: up.returncode, reverse=True)
    assert (winner.returncode, loser.returncode) == (0, 1), said
    assert said[loser][1].startswith("lab: "), said
    assert "already" in said[loser][1], said
    assert lab("test").returncode == 0
    assert lab("down").returncode == 0
    assert [path.suffix for path in tmp_path.glob("pipeline-lab/*")] == [".lock"]


def test_a_state_directory_that_cannot_be_written_is_said_in_one_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_RUNTIME_DIR", "/proc")
        done = lab("stats")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "set XDG_RUNTIME_DIR" in done.stderr


def test_with_two_topologies_up_the_one_meant_has_to_be_said(lab: Lab, offset: int) -> None:
    for there in (offset, offset + 100):
        assert lab("up", "sequential", "--detach", "--offset", there).returncode == 0
    assert f"--offset {offset + 100}" in lab("logs").stderr
    assert lab("logs", "--offset", offset).returncode == 0


def test_a_port_that_is_taken_fails_the_background_start_with_the_reason(
    lab: Lab, offset: int, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 8053 + offset)):
        done = lab("up", "sequential", "--detach", "--offset", offset)
    assert done.returncode == 1
    assert f"port {8053 + offset}, which service3 wants, is taken by pid {os.getpid()}" in done.stderr
    assert not connects(8051 + offset)
    assert [path.suffix for path in tmp_path.glob("pipeline-lab/*")] == [".lock"]


def test_one_that_was_killed_is_told_from_one_that_lives(lab: Lab, offset: int, tmp_path: Path) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    (state,) = tmp_path.glob("pipeline-lab/*.json")
    pid = json.loads(state.read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not connects(8051 + offset))
    assert "nothing is up" in lab("stats").stderr
    assert not state.exists()
    assert [path.suffix for path in tmp_path.glob("pipeline-lab/*")] == [".lock"]
    assert lab("up", "sequential", "--detach", "--offset", offset).returncode == 0


def test_one_that_is_frozen_is_taken_down_all_the_same(lab: Lab, offset: int, tmp_path: Path) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    (state,) = tmp_path.glob("pipeline-lab/*.json")
    os.kill(json.loads(state.read_text())["pid"], signal.SIGSTOP)
    assert lab("down").returncode == 0
    assert not connects(8051 + offset)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_ends_it_cleanly(offset: int, ending: signal.Signals) -> None:
    with process("up", "sequential", "--offset", offset) as up:
        read_until(up, "Ctrl-C ends it")
        up.send_signal(ending)
        assert up.communicate() == ("", "")
    assert up.returncode == 0
    assert not connects(8051 + offset)


def test_what_is_up_in_the_foreground_serves_other_shells_too(lab: Lab, offset: int) -> None:
    with process("up", "sequential", "--offset", offset) as up:
        read_until(up, "Ctrl-C ends it")
        assert lab("down").returncode == 0
    assert up.returncode == 0


def test_logs_can_be_followed(lab: Lab, offset: int) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    with process("logs", "service1", "--follow") as following:
        assert following.stdout is not None
        assert "listening" in following.stdout.readline()
        lab("kill", "service1")
        assert "killed" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
    assert following.returncode == 130


def test_a_benchmark_drives_what_is_up_and_gives_a_row_for_each_trial(lab: Lab, offset: int) -> None:
    lab("up", "sequential", "--detach", "--work-ms", 2, "--offset", offset)
    done = lab("benchmark", "--duration", 0.5, "--trials", 1, "--concurrency", "1,2", "--json")
    rows = json.loads(done.stdout)
    assert [(row["concurrency"], row["trial"], row["failed"]) for row in rows] == [(1, 1, 0), (2, 1, 0)]
    assert all(row["topology"] == "sequential" and row["throughput_rps"] > 0 for row in rows)
    assert lab("benchmark", "--concurrency", "0").returncode == 2


@pytest.mark.skipif(usable_cores() < 2 or not hasattr(os, "sched_setaffinity"), reason="too few cores")
def test_a_benchmark_keeps_what_is_up_off_the_cores_of_its_generators_and_gives_them_back(
    lab: Lab, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab("up", "sequential", "--detach", "--work-ms", 2, "--offset", offset)
    (upkeep,) = everything_up()
    before, core = os.sched_getaffinity(upkeep.pid), max(os.sched_getaffinity(0))
    seen: list[tuple[set[int], list[int | None]]] = []

    def run(*arguments: Any, **named: Any) -> LoadResult:
        load = process_of_load.run(*arguments, **named)
        seen.append((os.sched_getaffinity(upkeep.pid), [each.core for each in load.generators]))
        return load

    monkeypatch.setattr(benchmark_run, "run", run)
    asked = ("--trials", 1, "--concurrency", "1,2", "--processes", 2, "--cpu", core)
    lab("benchmark", "--duration", 0.5, *asked)  # 1 where others compute on that core: that is not asked here
    assert seen == [(before - {core}, [core]), (before - {core}, [core, core])]
    assert os.sched_getaffinity(upkeep.pid) == before
    refused = lab("benchmark", "--cpu", ",".join(map(str, before)))
    assert refused.returncode == 2
    assert "leaves no core to the servers" in refused.stderr


def test_the_doctor_tells_every_fact_with_ok_or_a_remedy(lab: Lab) -> None:
    done = lab("doctor", "--json")
    assert done.returncode == 0
    facts = {fact["name"]: fact for fact in json.loads(done.stdout)}
    assert {"cores", "load average", "event loop", "timer", "open files", "packages"} <= set(facts)
    assert all(fact["ok"] == (fact["remedy"] is None) for fact in facts.values())
    assert "event loop" in lab("doctor").stdout


def test_the_doctor_can_start_each_topology_and_say_what_that_costs(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(startup, "LIMITS", {PlacementName.IN_PROCESS: (60_000, 1_000)})
    facts = {fact["name"]: fact for fact in json.loads(lab("doctor", "--startup", "--json").stdout)}
    assert facts["starting sequential (in-process)"]["value"].startswith("4 servers in ")
    assert facts["starting parallel (in-process)"]["ok"]
