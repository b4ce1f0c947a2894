"""A sweep keeps every row as it comes, and goes on where it stopped."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import NotSupported, PortInUse, ProgramMissing, SweepMismatch
from lab.measure.measurement import Measurement
from lab.placement import Running
from lab.placement.ports import reserved_offset
from lab.placement.proxies.caddy import Caddy
from lab.placement.proxies.proxy import Program
from lab.results import check, read, read_measurements
from lab.results.sidecar import Sidecar
from lab.sweep import Plan, plan_sweep, run_sweep, runner, trial
from lab.sweep.trial import trial_seed
from lab.topology import Topology

Make = Callable[..., Plan]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Plans small sweeps that no documented port is needed for."""
    small: dict[str, Any] = {"topology": "sequential", "concurrency": [1, 2], "work_ms": 1, "trials": 2}
    brief = {"duration_s": 0.3, "warmup_s": 0.1}

    with reserved_offset(Topology.parallel()) as offset:

        def make(**changes: Any) -> Plan:
            return plan_sweep(name="small", folder=tmp_path, port_offset=offset, **(small | brief | changes))

        yield make


def ids(plan: Plan) -> list[tuple[str, int]]:
    return [(m.what.cell_id, m.what.trial) for m in read_measurements(plan.path)]


def test_every_trial_is_a_row_that_keeps_the_contract_with_its_histograms_beside(make: Make) -> None:
    plan = make(topology=["sequential", "parallel"], concurrency=2, trials=1)
    assert run_sweep(plan) == plan.path
    assert check(plan.path) == 2
    assert ids(plan) == [(trial.cell_id, trial.number) for trial, _ in plan.order()]
    sidecar = Sidecar.read(plan.path)
    assert sidecar.parameters == plan.parameters
    assert set(sidecar.histograms) == {f"{cell}/{number}" for cell, number in ids(plan)}
    for measured in read_measurements(plan.path):
        assert measured.what.sweep_id == "small"
        assert measured.outcome.succeeded > 0
        assert measured.outcome.failed == 0
        assert measured.health.servers_cpu_cores is not None
        assert measured.health.servers_rss_mb is not None
        assert (measured.health.retries is None) == (measured.factors.topology == "sequential")


def test_an_interrupted_sweep_keeps_its_rows_and_goes_on_where_it_stopped(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, left = make(), iter([True, True, False])
    run_trial = runner.run_trial

    def interrupted(*arguments: Any, **named: Any) -> Any:
        if not next(left):
            raise KeyboardInterrupt
        return run_trial(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(runner, "run_trial", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(plan)
    kept = ids(plan)
    assert kept == [(trial.cell_id, trial.number) for trial, _ in plan.order()][:2]
    begun = read(plan.path)["started_at"].tolist()
    run_sweep(make())
    assert ids(plan) == [(trial.cell_id, trial.number) for trial, _ in plan.order()]
    assert read(plan.path)["started_at"].tolist()[:2] == begun


def test_invalid_trials_are_counted_and_made_up_for_by_further_ones_when_asked(
    make: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    valid, measure = iter([False, True, True, False, True]), trial.measure

    def judged(*arguments: Any, **named: Any) -> Measurement:
        row = measure(*arguments, **named)
        row = replace(row, health=replace(row.health, valid=True, invalid_reason=None))
        return row if next(valid) else row.invalidated(["not_steady"])

    monkeypatch.setattr(trial, "measure", judged)
    plan = make(concurrency=1)
    run_sweep(plan)
    assert "2 trials, 1 invalid (not_steady 1)" in capfd.readouterr().err
    run_sweep(plan)
    assert "name small and redo_invalid true adds those" in capfd.readouterr().err
    again = make(concurrency=1, redo_invalid=True)
    run_sweep(again)
    run_sweep(again)
    assert [number for _, number in ids(plan)] == [1, 2, 3]
    capfd.readouterr()
    run_sweep(plan)
    assert "redo_invalid" not in capfd.readouterr().err


def test_a_row_is_on_the_disk_before_the_servers_stop(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, kept, stop = make(concurrency=1, trials=1), [], Running.__exit__

    def stopped(running: Running, *error: Any) -> None:
        kept.append(len(ids(plan)))
        stop(running, *error)

    monkeypatch.setattr(Running, "__exit__", stopped)
    run_sweep(plan)
    assert kept == [1]


def test_a_finished_sweep_has_nothing_left_to_do(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make(concurrency=1, trials=1)
    run_sweep(plan)
    before = plan.path.read_bytes()
    monkeypatch.setattr(runner, "run_trial", None)  # to call it would fail
    assert run_sweep(make(concurrency=1, trials=1)).read_bytes() == before


def test_a_name_that_is_taken_by_other_parameters_is_refused_and_left_alone(make: Make) -> None:
    plan = make(concurrency=1, trials=1)
    run_sweep(plan)
    before = plan.path.read_bytes()
    with pytest.raises(SweepMismatch, match="trials was 1 and is 2"):
        run_sweep(make(concurrency=1, trials=2))
    assert plan.path.read_bytes() == before


def test_a_port_that_is_taken_is_named_with_another_offset_and_nothing_is_written(make: Make) -> None:
    plan = make()
    with socket.create_server(("127.0.0.1", 8053 + plan.port_offset)), pytest.raises(PortInUse) as refused:
        run_sweep(plan)
    assert str(8053 + plan.port_offset) in str(refused.value)
    assert "service3" in str(refused.value)
    (offset,) = {int(found) for found in re.findall(r"port_offset (\d+)", str(refused.value))}
    assert offset != plan.port_offset
    assert list(plan.folder.iterdir()) == []


def test_a_program_that_a_later_trial_needs_is_missed_before_the_first_and_nothing_is_written(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Caddy, "program", Program("no-such-program", "no-such-wheel"))
    plan = make(topology="parallel", balancer=["builtin", "caddy"])
    with pytest.raises(ProgramMissing, match="no-such-program is not installed"):
        run_sweep(plan)
    assert list(plan.folder.iterdir()) == []


def test_a_policy_that_a_balancer_lacks_is_said_before_the_first_trial(make: Make) -> None:
    plan = make(topology="parallel", balancer=["builtin", "caddy"], policy="peak_ewma")
    with pytest.raises((NotSupported, ProgramMissing), match="caddy"):
        run_sweep(plan)
    assert list(plan.folder.iterdir()) == []


def test_trials_have_seeds_of_their_own_that_the_base_seed_makes() -> None:
    seeds = {trial_seed(seed, number) for seed in range(20) for number in range(20)}
    assert len(seeds) == 400
    assert trial_seed(3, 4) == trial_seed(3, 4)


def test_the_same_trial_of_two_open_loops_has_the_same_arrivals(make: Make) -> None:
    plan = make(
        topology=["sequential", "parallel"],
        concurrency=None,
        load_model="poisson",
        requested_rate=50,
        trials=2,
    )
    run_sweep(plan)
    hashes = {(m.factors.topology, m.what.trial): m.what.schedule_hash for m in read_measurements(plan.path)}
    assert hashes["sequential", 1] == hashes["parallel", 1]
    assert hashes["sequential", 1] != hashes["sequential", 2]
