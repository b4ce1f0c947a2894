"""A plan says everything about a sweep, and whatever is wrong with it, before anything starts."""

from __future__ import annotations

import os
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import BadParameter, NotSupported
from lab.measure.columns import Factors
from lab.sweep import Plan, plan_sweep
from lab.sweep.levels import factor_names
from lab.sweep.presets import PresetName

LISTS = st.fixed_dictionaries(
    {},
    optional={
        "topology": st.sampled_from(["sequential", "parallel", ["parallel", "sequential"]]),
        "replicas": st.lists(st.integers(1, 6), min_size=1, max_size=2),
        "concurrency": st.lists(st.integers(1, 64), min_size=1, max_size=3),
        "work": st.sampled_from(["io", "text", ["io", "text", "cpu"]]),
        "work_ms": st.lists(st.integers(1, 80), min_size=1, max_size=2),
        "trials": st.integers(1, 4),
        "seed": st.integers(0, 9),
    },
)


def planned(asked: dict[str, Any]) -> Plan | None:
    try:
        return plan_sweep(name="same", **asked)
    except BadParameter:
        return None  # a factor that would say nothing


def test_the_default_sweep_is_both_topologies_at_four_concurrencies_three_times() -> None:
    cells = plan_sweep().cells().values()
    assert {(cell.topology, cell.concurrency) for cell in cells} == {
        (topology, concurrency) for topology in ("sequential", "parallel") for concurrency in (1, 3, 8, 32)
    }
    assert len(list(plan_sweep().order())) == 24


@pytest.mark.parametrize(
    ("preset", "minutes"),
    [("quick", 0.5), ("quickstart", 0.9), ("default", 2.75), ("full", 60)],
)
def test_each_preset_expects_to_end_in_its_time(preset: str, minutes: float) -> None:
    assert plan_sweep(preset).expected_s <= minutes * 60


def test_every_window_of_the_full_sweep_is_long_enough_for_the_90th_percentile() -> None:
    from lab.measure.percentiles import sample_floor
    from lab.sweep.windows import predicted_rps

    full = plan_sweep(PresetName.FULL)
    for combination in full.grid.combinations():
        rate = predicted_rps(combination)
        assert rate is not None
        assert full.windows.of(combination).duration_s * rate >= sample_floor(0.9)


def test_a_warm_up_lasts_a_full_turn_of_what_is_in_flight() -> None:
    for cell in plan_sweep("full").cells().values():
        times_s = 4 * 0.040
        servers = cell.replicas or 1
        assert (cell.warmup_s or 0) >= max(times_s, (cell.concurrency or 0) * 0.040 / servers)


@given(LISTS)
@settings(max_examples=60, deadline=None)
def test_every_trial_of_every_cell_comes_once_and_trials_are_interleaved(asked: dict[str, Any]) -> None:
    sweep = planned(asked)
    if sweep is None:
        return
    order = [trial for trial, _ in sweep.order()]
    cells = sweep.cells()
    assert len(set(order)) == len(order) == len(cells) * sweep.trials
    assert [trial.number for trial in order] == sorted(trial.number for trial in order)
    assert order == [trial for trial, _ in sweep.order()], "the same plan has the same order"


@given(LISTS)
@settings(max_examples=60, deadline=None)
def test_cells_differ_in_a_factor_that_says_something(asked: dict[str, Any]) -> None:
    sweep = planned(asked)
    if sweep is None:
        return
    cells = list(sweep.cells().values())
    assert len(set(cells)) == len(cells)
    for cell in cells:
        assert isinstance(cell, Factors)
        if cell.topology == "sequential":
            assert (cell.replicas, cell.policy, cell.balancer) == (1, None, None)
        if cell.work == "text":
            assert (cell.work_ms, cell.work_distribution) == (None, None)
        assert cell.requested_rate is None


def test_a_client_made_for_every_request_is_looked_at_for_longer() -> None:
    cells = plan_sweep("quick", client=["wire", "httpx-per-request"], work="text", concurrency=16).cells()
    windows = {f.client: (f.warmup_s, f.duration_s) for f in cells.values() if f.topology == "parallel"}
    assert windows["httpx-per-request"][0] >= 16 / 15
    assert windows["httpx-per-request"][1] == pytest.approx(8 * 16 / 15, abs=0.1)
    assert windows["wire"] < windows["httpx-per-request"]


def test_another_seed_gives_another_order() -> None:
    ids = [[trial.cell_id[:13] for trial, _ in plan_sweep(seed=seed).order()] for seed in (1, 2)]
    assert ids[0] != ids[1]


def test_closed_and_open_loops_keep_only_their_own_factors() -> None:
    sweep = plan_sweep(
        load_model=["closed", "poisson"], concurrency=[1, 3], requested_rate=[5, 10], topology="parallel"
    )
    cells = sweep.cells().values()
    assert sorted((c.load_model, c.concurrency, c.requested_rate) for c in cells if c.concurrency) == [
        ("closed", 1, None),
        ("closed", 3, None),
    ]
    assert sorted(c.requested_rate or 0 for c in cells if c.load_model == "poisson") == [5, 10]


def test_the_generators_are_told_among_the_parameters_where_they_are_not_one_that_runs_anywhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", None, raising=False)
    assert not {"processes", "cpu"} & plan_sweep().parameters.keys()
    told = plan_sweep(processes=2, cpu="0, 2").parameters
    assert (told["processes"], told["cpu"]) == (2, [0, 2])
    with pytest.raises(BadParameter, match="remote"):
        plan_sweep(cpu=1, placement=["in-process", "remote"])
    with pytest.raises(BadParameter, match="leaves no core to the servers"):
        plan_sweep(cpu=[0, 1, 2, 3])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"concurency": 3}, "Did you mean concurrency?"),
        ({"trials": 0}, "trials cannot be 0"),
        ({"trials": "many"}, "trials cannot be 'many'"),
        ({"name": "a/b"}, "name cannot be 'a/b'"),
        ({"name": "../b"}, "name cannot be '../b'"),
        ({"port_offset": -1}, "port_offset cannot be -1"),
        ({"port_offset": 60_000}, "port_offset cannot be 60000"),
        ({"processes": 0}, "processes cannot be 0"),
        ({"cpu": "one"}, "cpu cannot be 'one'"),
        ({"cpu": []}, "cpu cannot be []"),
        ({"cpu": 99_999}, "cpu 99999 cannot be had"),
        ({"load_model": "poisson"}, "needs a requested_rate"),
        ({"requested_rate": 5}, "requested_rate says nothing here"),
        ({"topology": "sequential", "policy": "round_robin"}, "policy says nothing here"),
        ({"topology": "sequential", "replicas": 4}, "replicas says nothing here"),
        ({"work": "text", "work_ms": 20}, "work_ms says nothing here"),
        ({"work_ms": "0,0,40"}, "work_ms 0,0,40 names 3 services"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_starts(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(BadParameter) as refused:
        plan_sweep(**asked)
    assert said in str(refused.value)


def test_an_unknown_preset_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadParameter, match="quick, quickstart, default, full"):
        plan_sweep("huge")


def test_what_is_none_stays_as_the_preset_has_it() -> None:
    assert plan_sweep(name="a", concurrency=None, trials=None).parameters == plan_sweep(name="b").parameters


@pytest.mark.parametrize("name", ["007", "1.10", "2026_11_27", "no", "12:30"])
def test_a_name_is_text_and_the_csv_has_exactly_that(name: str) -> None:
    assert plan_sweep(name=name, folder="/r").path == Path(f"/r/{name}.csv")


@pytest.mark.parametrize("name", [1.10, 2026_11_27, False])
def test_a_name_that_python_took_for_a_number_is_refused(name: Any) -> None:
    with pytest.raises(BadParameter, match="put it in quotes"):
        plan_sweep(name=name)


def test_a_default_name_carries_the_time() -> None:
    assert plan_sweep().name.startswith("sweep-20")


def test_plans_without_a_name_have_names_of_their_own_even_in_one_second() -> None:
    assert len({plan_sweep("quick").name for _ in range(5)}) == 5


def test_the_plan_names_all_that_differs_from_its_preset() -> None:
    assert "Other than" not in str(plan_sweep(concurrency=[1, 5], trials=2))
    told = str(plan_sweep("quick", policy="peak_ewma", work_ms=80, redo_invalid=False, port_offset=100))
    assert told.endswith(
        "Other than in the preset quick: policy peak_ewma, work_ms 80, redo_invalid False, port_offset 100"
    )
    assert "tuning none, rise=1" in str(plan_sweep(tuning=[{}, {"rise": 1}]))


def test_every_factor_is_an_argument_with_a_type() -> None:
    assert set(factor_names()) < set(signature(plan_sweep).parameters)
    assert not [name for name, hint in get_type_hints(plan_sweep).items() if hint is object]


def test_a_relative_folder_is_one_of_the_checkout_wherever_a_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    checkout = Path(__file__).parents[3]
    assert plan_sweep(name="mine").path == checkout / "results" / "mine.csv"


def test_parameters_are_told_apart_by_what_changes_rows_and_by_nothing_else() -> None:
    one = plan_sweep(name="one")
    assert one.parameters == plan_sweep(name="two", port_offset=1000, folder="elsewhere").parameters
    assert one.parameters != plan_sweep(name="one", trials=4).parameters
    assert one.parameters != plan_sweep("quick", name="one").parameters
    assert one.parameters != plan_sweep(name="one", concurrency=[1, 3]).parameters


def test_a_plan_tells_itself_in_one_sentence() -> None:
    sentence = str(plan_sweep(name="mine", folder="results"))
    assert sentence.startswith(
        "8 cells × 3 trials (topology sequential, parallel; concurrency 1, 3, 8, 32), "
    )
    assert sentence.endswith("into results/mine.csv")


def test_levels_in_another_order_make_the_same_sweep() -> None:
    given, turned = plan_sweep(concurrency=[9, 10]), plan_sweep(concurrency="10,9")
    assert given.parameters == turned.parameters
    assert given.parameters["concurrency"] == [9, 10]
    assert set(given.cells()) == set(turned.cells())


def test_a_preset_is_lengthened_until_a_median_has_its_answers() -> None:
    """Four services of 1.5 s answer a sixth of a request a second."""
    slow = plan_sweep("quick", topology="sequential", concurrency=1, work_ms=1500).cells().values()
    slower = plan_sweep("full", topology="sequential", concurrency=1, work_ms=15000).cells().values()
    assert [cell.duration_s for cell in slow if cell.work_distribution == "constant"] == [108]
    assert all(cell.duration_s / 60 >= 11 for cell in slower)


def test_a_duration_that_holds_too_few_answers_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(BadParameter, match=r"at 6.25 answers a second it holds 6.2.*11 / 6.25 = 1.8 or more"):
        plan_sweep(topology="sequential", concurrency=1, duration_s=1)
    assert plan_sweep(topology="sequential", concurrency=1, duration_s=1.8)


@pytest.mark.parametrize(("told", "most"), [(True, 8), (False, 0), (3, 3), (0, 0)])
def test_redo_invalid_is_a_third_of_the_trials_none_or_a_number(told: object, most: int) -> None:
    assert plan_sweep(redo_invalid=told).most_redone == most


def test_redo_invalid_takes_nothing_else() -> None:
    with pytest.raises(BadParameter, match="redo_invalid cannot be 'often'"):
        plan_sweep(redo_invalid="often")


def test_a_tuning_makes_cells_of_parallel_and_leaves_the_ids_of_untuned_ones_alone() -> None:
    plain = plan_sweep(concurrency=8).cells()
    tuned = plan_sweep(concurrency=8, tuning=[{}, {"rise": 1, "retry_ratio": 0}]).cells()
    assert set(plain) < set(tuned)
    (more,) = set(tuned) - set(plain)
    assert (tuned[more].topology, tuned[more].tuning) == ("parallel", "retry_ratio=0 rise=1")


@pytest.mark.parametrize("nothing", [{}, [{}], [None], ""])
def test_no_tuning_is_the_same_sweep_as_none_said(nothing: object) -> None:
    assert plan_sweep(name="a", tuning=nothing) == plan_sweep(name="a")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"tuning": {"retry_ratoi": 0}}, "did you mean retry_ratio"),
        ({"tuning": {"port": 0}}, "tuning cannot set port"),
        ({"tuning": {"head_limit_bytes": 99}, "protocol": ["http", "grpc"]}, "over grpc"),
        ({"tuning": {"rise": 1}, "topology": "sequential"}, "tuning says nothing here"),
    ],
)
def test_a_tuning_that_nothing_would_heed_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(BadParameter, match=said):
        plan_sweep(**asked)


@pytest.mark.parametrize("where", [{"balancer": ["builtin", "nginx"]}, {"placement": "remote"}])
def test_a_tuning_of_balancers_that_are_not_the_labs_is_refused(where: dict[str, Any]) -> None:
    with pytest.raises(NotSupported, match="tuning"):
        plan_sweep(tuning={"rise": 1}, **where)
