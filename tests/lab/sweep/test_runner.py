"""A sweep keeps every row as it comes, and goes on where it stopped."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import trials
from lab.errors import NotSupported, PortInUse, ProgramMissing, SweepMismatch
from lab.experiment_events import Event, TrialBegun, TrialEnded, TrialProgress
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
    brief = {"duration_s": 0.3, "warmup_s": 0.1, "redo_invalid": False}

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
    rows = read_measurements(plan.path)
    # A machine that stalls may let none through in one short window, but not in all of them.
    assert any(measured.outcome.succeeded for measured in rows)
    for measured in rows:
        assert measured.what.sweep_id == "small"
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
    assert "name small and redo_invalid 1 adds those" in capfd.readouterr().err
    again = make(concurrency=1, redo_invalid=1)
    run_sweep(again)
    assert "1 more trials make up for invalid ones" not in capfd.readouterr().err, "they were left to do"
    run_sweep(again)
    assert [number for _, number in ids(plan)] == [1, 2, 3]
    capfd.readouterr()
    run_sweep(plan)
    assert "redo_invalid" not in capfd.readouterr().err


def judging(monkeypatch: pytest.MonkeyPatch, *verdicts: str) -> None:
    """Have trials judged so, in turn, by the reason against them; "" is valid."""
    reasons, measure = iter(verdicts), trial.measure

    def judged(*arguments: Any, **named: Any) -> Measurement:
        row = measure(*arguments, **named)
        row = replace(row, health=replace(row.health, valid=True, invalid_reason=None))
        reason = next(reasons)
        return row.invalidated([reason]) if reason else row

    monkeypatch.setattr(trial, "measure", judged)


def test_a_sweep_makes_up_for_spoilt_trials_unasked_up_to_its_bound(
    make: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    busy = "machine_busy"
    judging(monkeypatch, busy, busy, "", busy)
    plan = make(concurrency=1, trials=3, redo_invalid=True)
    run_sweep(plan)
    assert [number for _, number in ids(plan)] == [1, 2, 3, 4]
    said = capfd.readouterr().err
    assert said.count("2 trials are machine_busy so far") == 1
    assert "valid so far 0 of 2" in said
    assert "cells lack 2 valid trials" in said
    assert "redo_invalid 3 adds those" in said


def test_what_a_further_trial_would_suffer_from_too_is_not_made_up_for(
    make: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    judging(monkeypatch, "generator_bound", "too_few_samples")
    plan = make(concurrency=1, redo_invalid=True)
    run_sweep(plan)
    assert len(ids(plan)) == 2
    assert "redo_invalid" not in capfd.readouterr().err.replace("(redo_invalid)", "")


def test_whoever_listens_is_told_of_every_trial_from_begin_to_end(make: Make) -> None:
    seen: list[Event] = []
    plan = make(concurrency=1)
    run_sweep(plan, seen.append)
    begun, ended = ([each for each in seen if isinstance(each, kind)] for kind in (TrialBegun, TrialEnded))
    assert [each.place for each in begun] == [1, 2]
    assert [(each.row.what.cell_id, each.row.what.trial) for each in ended] == ids(plan)
    assert [each.begun for each in ended] == begun
    under_way = [each for each in seen if isinstance(each, TrialProgress)]
    assert under_way[-1].rate_rps > 0


def test_programs_that_compute_are_named_before_the_first_trial(
    make: Make, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trials, "busy_programs", lambda *_: ["mprime (1.9 cores)"])
    run_sweep(make(concurrency=1, trials=1))
    said = capfd.readouterr().err
    assert said.index("mprime (1.9 cores). End them") < said.index("trial 1 of 1")


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


def test_only_a_sweep_with_a_name_leaves_something_to_review(make: Make) -> None:
    plan = make(concurrency=1, trials=1)
    run_sweep(plan)
    run_sweep(replace(plan, name="sweep-unnamed", named=False))
    beside = {path.name for path in plan.path.parent.iterdir() if path.suffix in (".md", ".png")}
    assert beside == {"small.md", "small.png"}


@pytest.mark.parametrize("placement", ["in-process", "processes"])
def test_a_sweep_holds_its_ports_from_its_first_trial_to_its_last(make: Make, placement: str) -> None:
    plan = make(placement=placement, concurrency=1, trials=2)
    taken: list[int] = []

    def intrude() -> None:
        """Try to listen as servers do."""
        for port in range(8051 + plan.port_offset, 8055 + plan.port_offset):
            with suppress(OSError), socket.create_server(("127.0.0.1", port)):
                taken.append(port)

    assert len(read_measurements(run_sweep(plan, lambda _: intrude()))) == 2
    assert taken == []
    intrude()
    assert len(taken) == 4
