"""Starting a topology that stays up, in the foreground and in the background."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from lab.cli.state import everything_up
from tests.support.command_line import CommandLine, connects, process, read_until


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("sequential", "--work-ms", "a"), "--work-ms"),
        (("sequential", "--work-ms", "1,2"), "--work-ms"),
        (("sequential", "--work-ms", "-1"), "--work-ms is '-1'"),
        (("sequential", "--replicas", "3"), "--replicas is for parallel"),
        (("sequential", "--offset", "60000"), "port"),
        (("sequential", "--tuning", "retry_ratio=0"), "no balancer"),
        (("parallel", "--tuning", "retry_ratoi=0"), "did you mean retry_ratio"),
        (("parallel", "--tuning", "retry_ratio"), "write name=value"),
        (("parallel", "--tuning", "port=1"), "tuning cannot set port"),
    ],
)
def test_an_option_that_makes_no_sense_is_misuse_said_in_one_line(
    lab: CommandLine, arguments: tuple[str, ...], said: str
) -> None:
    done = lab("up", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("lab: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_other_balancers_refuse_a_tuning_before_anything_starts(lab: CommandLine) -> None:
    done = lab("up", "parallel", "--detach", "--balancer", "nginx", "--tuning", "retry_ratio=0")
    assert done.returncode == 1
    assert done.stderr.startswith("lab: tuning sets the built-in balancer, and nginx has")


def test_a_topology_may_be_kept_up_in_processes(lab: CommandLine, offset: int) -> None:
    up = lab("up", "sequential", "--detach", "--placement", "processes", "--work-ms", 1, "--offset", offset)
    assert "sequential is up (processes): 4 instances" in up.stdout, up.stderr
    assert "all as documented" in lab("test").stdout
    assert "listens on" in lab("logs", "service2").stdout
    assert lab("down").returncode == 0
    assert not connects(8054 + offset)


def test_a_second_topology_on_the_same_ports_is_refused_and_says_what_is_up(
    lab: CommandLine, offset: int
) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    second = lab("up", "parallel", "--offset", offset)
    assert second.returncode == 1
    assert "sequential is up already" in second.stderr


def test_of_two_that_start_at_once_one_stays_up_and_the_other_says_why_it_does_not(
    lab: CommandLine, offset: int, tmp_path: Path
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


def test_a_port_that_is_taken_fails_the_background_start_with_the_reason(
    lab: CommandLine, offset: int, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 8053 + offset)):
        done = lab("up", "sequential", "--detach", "--offset", offset)
    assert done.returncode == 1
    assert f"port {8053 + offset}, which service3 wants, is taken by pid {os.getpid()}" in done.stderr
    assert not connects(8051 + offset)
    assert [path.suffix for path in tmp_path.glob("pipeline-lab/*")] == [".lock"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_ends_it_cleanly(offset: int, ending: signal.Signals) -> None:
    with process("up", "sequential", "--offset", offset) as up:
        read_until(up, "Ctrl-C ends it")
        up.send_signal(ending)
        assert up.communicate() == ("", "")
    assert up.returncode == 0
    assert not connects(8051 + offset)


def test_what_is_up_in_the_foreground_serves_other_shells_too(lab: CommandLine, offset: int) -> None:
    with process("up", "sequential", "--offset", offset) as up:
        read_until(up, "Ctrl-C ends it")
        assert lab("down").returncode == 0
    assert up.returncode == 0


def test_a_folder_that_holds_modules_named_as_the_labs_own_does_not_break_the_background_start(
    lab: CommandLine, offset: int, hiding_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hiding_folder)
    monkeypatch.setenv("PYTHONPATH", str(hiding_folder))
    placement = ("--placement", "processes", "--work-ms", 1)
    assert lab("up", "sequential", "--detach", "--offset", offset, *placement).returncode == 0
    assert "all as documented" in lab("test").stdout


def test_what_is_tuned_is_said_kept_for_other_shells_and_measured(lab: CommandLine, offset: int) -> None:
    options = ("--replicas", 1, "--work-ms", 1, "--offset", offset)
    up = lab("up", "parallel", "--detach", *options, "--tuning", "rise=1", "--tuning", "retry_ratio=0")
    assert "balancers tuned: retry_ratio=0 rise=1" in up.stdout, up.stderr
    (upkeep,) = everything_up()
    assert upkeep.options.tuning == "retry_ratio=0 rise=1"
    assert lab("restart", "service1-loadbalancer").returncode == 0
    done = lab("benchmark", "--duration", 0.5, "--trials", 1, "--concurrency", "1", "--json")
    assert [row["tuning"] for row in json.loads(done.stdout)] == ["retry_ratio=0 rise=1"]
