"""Closed loops on a topology that is up: a row for each trial."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from lab.cli import benchmark_run
from lab.cli.state import everything_up
from lab.load import run as process_of_load
from lab.load.result import LoadResult
from lab.machine import usable_cores
from tests.support.command_line import CommandLine

ALONE = ("--redo-invalid", 0)
"""No trial more than asked for, whoever computes beside a test."""


def test_a_benchmark_drives_what_is_up_and_gives_a_row_for_each_trial(lab: CommandLine, offset: int) -> None:
    lab("up", "sequential", "--detach", "--work-ms", 2, "--offset", offset)
    done = lab("benchmark", "--duration", 0.5, "--trials", 1, "--concurrency", "1,2", *ALONE, "--json")
    rows = json.loads(done.stdout)
    assert [(row["concurrency"], row["trial"], row["failed"]) for row in rows] == [(1, 1, 0), (2, 1, 0)]
    assert all(row["topology"] == "sequential" and row["throughput_rps"] > 0 for row in rows)
    assert lab("benchmark", "--concurrency", "0").returncode == 2


@pytest.mark.skipif(usable_cores() < 2 or not hasattr(os, "sched_setaffinity"), reason="too few cores")
def test_a_benchmark_keeps_what_is_up_off_the_cores_of_its_generators_and_gives_them_back(
    lab: CommandLine, offset: int, monkeypatch: pytest.MonkeyPatch
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
    asked = ("--trials", 1, "--concurrency", "1,2", "--processes", 2, "--cpu", core, *ALONE)
    lab("benchmark", "--duration", 0.5, *asked)  # 1 where others compute on that core: that is not asked here
    assert seen == [(before - {core}, [core]), (before - {core}, [core, core])]
    assert os.sched_getaffinity(upkeep.pid) == before
    refused = lab("benchmark", "--cpu", ",".join(map(str, before)))
    assert refused.returncode == 2
    assert "leaves no core to the servers" in refused.stderr


def test_ctrl_c_prints_the_trials_that_were_measured(
    lab: CommandLine, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab("up", "sequential", "--detach", "--work-ms", 2, "--offset", offset)
    runs: list[None] = []

    def run(*arguments: Any, **named: Any) -> LoadResult:
        runs.append(None)
        if len(runs) == 2:
            raise KeyboardInterrupt
        return process_of_load.run(*arguments, **named)

    monkeypatch.setattr(benchmark_run, "run", run)
    done = lab("benchmark", "--duration", 0.5, "--trials", 2, "--concurrency", 1, *ALONE, "--json")
    assert done.returncode == 130
    assert [row["trial"] for row in json.loads(done.stdout)] == [1]
    assert "lab: interrupted after 1 of 2 trials" in done.stderr


def test_a_window_that_is_too_short_is_refused_with_the_one_to_take(lab: CommandLine, offset: int) -> None:
    lab("up", "sequential", "--detach", "--work-ms", 40, "--offset", offset)
    refused = lab("benchmark", "--duration", 0.5, "--concurrency", 1)
    assert refused.returncode == 2
    assert "11 / 6.25 = 1.8 or more" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--concurrency", "nan"),
        ("--concurrency", "0"),
        ("--concurrency", ""),
        ("--concurrency", "1,99999999999"),
        ("--cpu", "x"),
        ("--cpu", "-1"),
        ("--trials", "1e300"),
        ("--trials", str(10**9)),
        ("--duration", "nan"),
        ("--processes", "0"),
    ],
)
def test_what_makes_no_benchmark_is_refused_whatever_is_up(
    lab: CommandLine, arguments: tuple[str, str]
) -> None:
    done = lab("benchmark", *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
