"""Placement, balancer, client and work are factors like any other; rows say what the servers used."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

import lab
from lab.errors import ProgramMissing
from lab.load.result import LoadResult, Progress
from lab.load.run import run as run_load
from lab.machine import usable_cores
from lab.measure.columns import Factors
from lab.measure.measurement import Measurement
from lab.measure.row import Trial
from lab.measure.trial_processes import listeners
from lab.placement import BalancerName, Running
from lab.placement.ports import reserved_offset
from lab.placement.proxies import PROXIES
from lab.placement.proxies.proxy import find
from lab.results.csv_file import read_measurements
from lab.sweep import plan_sweep, run_sweep, trial
from lab.topology import Topology


def swept(folder: Path, **factors: Any) -> list[Measurement]:
    brief = {"trials": 1, "duration_s": 0.4, "warmup_s": 0.1, "concurrency": 2, "replicas": 2, "work_ms": 2}
    with reserved_offset(Topology.parallel()) as offset:
        plan = plan_sweep(
            name="placed", folder=folder, port_offset=offset, redo_invalid=False, **(brief | factors)
        )
        return read_measurements(run_sweep(plan))


@pytest.mark.parametrize("work", ["cpu", "text"])
def test_in_processes_the_cpu_of_balancers_and_services_is_told_apart(tmp_path: Path, work: str) -> None:
    factors = {"placement": "processes", "client": "wire", "work": [work], "topology": "parallel"}
    factors["duration_s"] = 1.5  # CPU time is counted in ticks of 10 ms
    (measured,) = swept(tmp_path, **(factors if work == "cpu" else factors | {"work_ms": None}))
    assert measured.outcome.failed == 0
    assert measured.outcome.succeeded > 0
    assert measured.health.servers_cpu_cores is not None
    assert measured.health.servers_cpu_cores > 0
    assert measured.health.balancers_cpu_cores is not None
    assert 0 <= measured.health.balancers_cpu_cores < measured.health.servers_cpu_cores
    assert measured.health.servers_rss_mb is not None
    assert measured.health.servers_rss_mb > 10


@pytest.mark.parametrize("placement", ["in-process", "processes"])
def test_a_server_that_was_restarted_meanwhile_is_noticed_though_it_is_up_again(
    placement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Running] = []

    def start(*arguments: Any, **named: Any) -> Running:
        started.append(lab.start(*arguments, **named))
        return started[-1]

    restarts = iter(["service3"])

    def restart_one(_: Progress) -> None:
        for name in restarts:
            started[0].restart(name)

    monkeypatch.setattr(trial, "start", start)
    factors = Factors(
        topology="sequential",
        replicas=1,
        placement=placement,
        work="io",
        work_ms="1",
        slots=1,
        load_model="closed",
        concurrency=1,
        warmup_s=0.1,
        duration_s=0.6,
    )
    with reserved_offset(Topology.sequential()) as offset:
        measured = trial.run_trial(Trial("x", "y"), factors, port_offset=offset, on_progress=restart_one)
    assert "servers_changed" in (measured.health.invalid_reason or "")


@pytest.mark.skipif(usable_cores() < 2 or not hasattr(os, "sched_setaffinity"), reason="too few cores")
@pytest.mark.parametrize("placement", ["in-process", "processes"])
def test_generators_and_servers_keep_to_cores_of_their_own(
    tmp_path: Path, placement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[LoadResult] = []
    kept: list[Collection[int]] = []

    def start(*arguments: Any, **named: Any) -> Running:
        kept.append(named["cores"])
        return lab.start(*arguments, **named)

    def run(*arguments: Any, **named: Any) -> LoadResult:
        loads.append(run_load(*arguments, **named))
        return loads[-1]

    monkeypatch.setattr(trial, "start", start)
    monkeypatch.setattr(trial, "run", run)
    core = max(os.sched_getaffinity(0))
    rows = swept(tmp_path, topology="sequential", replicas=None, placement=placement, processes=2, cpu=core)
    assert [generator.core for generator in loads[0].generators] == [core, core]
    assert {frozenset(cores) for cores in kept} == {frozenset(os.sched_getaffinity(0) - {core})}
    assert [row.outcome.failed for row in rows] == [0]


def test_a_closed_loop_of_one_user_has_one_generator_however_many_there_may_be(tmp_path: Path) -> None:
    rows = swept(tmp_path, topology="sequential", replicas=None, concurrency=[1, 3], processes=2)
    assert {(row.factors.concurrency, row.outcome.failed) for row in rows} == {(1, 0), (3, 0)}


def test_without_a_balancer_there_is_no_cpu_of_balancers(tmp_path: Path) -> None:
    (measured,) = swept(tmp_path, placement="processes", client="wire", topology="sequential", replicas=None)
    assert measured.health.balancers_cpu_cores is None
    assert measured.health.servers_cpu_cores is not None


@pytest.mark.parametrize("balancer", [name for name in BalancerName if name is not BalancerName.BUILTIN])
def test_every_other_balancer_gives_a_row_with_its_cpu(tmp_path: Path, balancer: BalancerName) -> None:
    try:
        find(PROXIES[balancer].program)
    except ProgramMissing as missing:
        pytest.skip(str(missing))
    (measured,) = swept(tmp_path, balancer=balancer, client="wire", topology="parallel")
    assert measured.factors.balancer == balancer
    assert measured.outcome.failed == 0
    assert measured.outcome.succeeded > 0
    assert measured.health.balancers_cpu_cores is not None
    assert measured.health.retries == 0


def test_a_row_says_what_its_balancers_were_tuned_to(tmp_path: Path) -> None:
    measured = swept(tmp_path, topology="parallel", tuning=[{}, {"retry_ratio": 0, "failures": 3}])
    assert {row.factors.tuning for row in measured} == {None, "failures=3 retry_ratio=0"}
    assert len({row.what.cell_id for row in measured}) == 2


def test_servers_that_run_already_are_of_the_trial() -> None:
    levels = next(iter(plan_sweep(topology="sequential", placement="remote").grid.combinations()))
    with reserved_offset(Topology.sequential()) as offset, lab.start(Topology.sequential().shifted(offset)):
        urls = trial.urls_served(levels, offset)
        assert len(urls) == 4
        assert all(listeners(url) == {os.getpid()} for url in urls)
    started = next(iter(plan_sweep(topology="sequential").grid.combinations()))
    assert trial.urls_served(started) == ()
