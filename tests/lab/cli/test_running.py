"""The commands on a topology that another process keeps up."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.support.command_line import CommandLine, connects, process


def test_a_topology_in_the_background_serves_every_command_from_other_shells(
    lab: CommandLine, offset: int
) -> None:
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
    lab: CommandLine, offset: int
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


def test_logs_can_be_followed(lab: CommandLine, offset: int) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    with process("logs", "service1", "--follow") as following:
        assert following.stdout is not None
        assert "listening" in following.stdout.readline()
        lab("kill", "service1")
        assert "killed" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
    assert following.returncode == 130


def test_a_topology_whose_process_is_frozen_is_taken_down_all_the_same(
    lab: CommandLine, offset: int, tmp_path: Path
) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    (state,) = tmp_path.glob("pipeline-lab/*.json")
    os.kill(json.loads(state.read_text())["pid"], signal.SIGSTOP)
    assert lab("down").returncode == 0
    assert not connects(8051 + offset)
