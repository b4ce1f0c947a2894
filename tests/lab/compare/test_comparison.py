from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import charts
from lab.compare import Change, Comparison, Metric, Report, compare, compare_files, differences
from lab.compare.origins import conditions
from lab.errors import BadParameter, ResultsError
from lab.measure.measurement import Measurement
from lab.results.csv_file import Results
from lab.results.sidecar import Provenance, Sidecar
from tests.support.measurements import make_measurement

COLUMNS = [column.name for column in Measurement.columns()]
STEADY = {f"c{n}": [100.0 + n, 101.0 + n, 102.0 + n, 103.0 + n, 104.0 + n] for n in (1, 3)}


def rows(cells: Mapping[str, list[float]], **levels: object) -> pd.DataFrame:
    """Trials by cell; the cell `c3` is concurrency 3. Levels stand in every row."""
    made = [
        {"topology": "parallel", "load_model": "closed", "concurrency": int(cell[1:]), "valid": True}
        | {"throughput_rps": value, "response_time_p50_ms": 1000 / value, "seed": 1}
        | {"requests": 100, "succeeded": 100, "failed": 0}
        | levels
        for cell, values in cells.items()
        for value in values
    ]
    return pd.DataFrame(made, columns=COLUMNS).astype({"valid": "boolean", "concurrency": "Int64"})


def findings(comparison: Comparison) -> list[Change]:
    return [cell.finding for cell in comparison.cells]


def faster(cells: Mapping[str, list[float]], factor: float) -> dict[str, list[float]]:
    return {cell: [value * factor for value in values] for cell, values in cells.items()}


def test_a_slower_b_is_worse_and_a_faster_one_better() -> None:
    assert findings(compare(rows(STEADY), rows(faster(STEADY, 0.8)))) == [Change.WORSE] * 2
    assert findings(compare(rows(STEADY), rows(faster(STEADY, 1.3)))) == [Change.BETTER] * 2


def test_of_times_less_is_better() -> None:
    comparison = compare(rows(STEADY), rows(faster(STEADY, 0.8)), Metric.RESPONSE_TIME_P50)
    assert findings(comparison) == [Change.WORSE] * 2
    assert comparison.geometric_mean == pytest.approx(1.25)


def test_a_cell_tells_its_medians_and_the_ratio_with_its_interval() -> None:
    cell = compare(rows(STEADY), rows(faster(STEADY, 0.8))).cells[0]
    assert (cell.label, cell.trials_a, cell.trials_b) == ("concurrency 1", 5, 5)
    assert (cell.median_a, cell.median_b) == (103, pytest.approx(82.4))
    assert cell.ratio.estimate == pytest.approx(0.8)
    assert cell.ratio.low < 0.8 < cell.ratio.high < 0.85


def test_the_same_result_twice_shows_no_difference() -> None:
    comparison = compare(rows(STEADY), rows(STEADY))
    assert findings(comparison) == [Change.NO_DIFFERENCE_SHOWN] * 2
    assert comparison.geometric_mean == pytest.approx(1)
    assert comparison.regressions == ()


def test_a_difference_within_the_threshold_is_none_however_significant() -> None:
    slightly = rows(faster(STEADY, 0.9505))
    assert findings(compare(rows(STEADY), slightly, threshold=0.10)) == [Change.NO_DIFFERENCE_SHOWN] * 2
    assert findings(compare(rows(STEADY), slightly, threshold=0.02)) == [Change.WORSE] * 2


def test_one_trial_a_side_is_too_few_whatever_it_says() -> None:
    few = {cell: values[:1] for cell, values in STEADY.items()}
    comparison = compare(rows(few), rows(faster(few, 0.1)))
    assert findings(comparison) == [Change.TOO_FEW_TRIALS] * 2
    assert math.isnan(comparison.cells[0].p)
    said = "Too few trials in 2 of 2: concurrency 1 (1 : 1 valid trials with this figure; it takes 2 a side"
    assert said in " ".join(comparison.sentences())


@pytest.mark.parametrize("cells", [1, 8])
def test_two_default_sweeps_of_three_trials_show_a_halving_in_every_cell(cells: int) -> None:
    three = {f"c{n}": [100.0 + n, 101.0 + n, 102.0 + n] for n in range(1, cells + 1)}
    comparison = compare(rows(three), rows(faster(three, 0.5)))
    assert findings(comparison) == [Change.WORSE] * cells
    assert all(cell.ratio.high < 0.53 for cell in comparison.cells)


def test_a_cell_with_too_few_trials_burdens_no_other() -> None:
    alone = compare(rows({"c1": STEADY["c1"]}), rows(faster({"c1": STEADY["c1"]}, 0.5)))
    mixed = {"c1": STEADY["c1"], **{f"c{n}": [50.0] for n in (3, 8, 32)}}
    comparison = compare(rows(mixed), rows(faster(mixed, 0.5)))
    assert findings(comparison) == [Change.WORSE, *[Change.TOO_FEW_TRIALS] * 3]
    assert comparison.cells[0].ratio == alone.cells[0].ratio


def test_ranks_are_told_only_where_they_could_decide() -> None:
    def told(trials: int, cells: int) -> list[bool]:
        made = {f"c{n}": [100.0 + n + t for t in range(trials)] for n in range(1, cells + 1)}
        return [not math.isnan(c.p) for c in compare(rows(made), rows(faster(made, 0.5))).cells]

    assert told(3, 1) == [False]
    assert told(4, 1) == [True]
    assert told(4, 2) == [False] * 2
    assert told(5, 2) == [True] * 2


def test_an_interval_that_holds_a_halving_compares_nothing_and_says_what_it_takes() -> None:
    wild = {"c1": [100.0, 40.0, 130.0]}
    comparison = compare(rows(wild), rows({"c1": [90.0, 120.0, 35.0]}))
    (cell,) = comparison.cells
    assert 0.5 in cell.ratio
    assert 1 in cell.ratio
    assert comparison.undecided == (cell,)
    assert cell.enough is not None
    assert cell.enough > 3
    assert f"about {cell.enough} a side tell a halving" in comparison.wanting()
    many = np.random.default_rng(1).lognormal(0, 0.6, (2, cell.enough)) * 100
    assert not compare(rows({"c1": many[0].tolist()}), rows({"c1": many[1].tolist()})).undecided


def test_twice_the_time_is_what_a_time_must_exclude() -> None:
    wild = {"c1": [100.0, 40.0, 130.0]}
    comparison = compare(rows(wild), rows({"c1": [90.0, 120.0, 35.0]}), Metric.RESPONSE_TIME_P50)
    assert 2 in comparison.cells[0].ratio
    assert len(comparison.undecided) == 1


def test_a_figure_that_no_valid_trial_has_is_not_compared() -> None:
    blank = rows(STEADY, response_time_p50_ms=math.nan)
    comparison = compare(blank, rows(STEADY), Metric.RESPONSE_TIME_P50)
    assert findings(comparison) == [Change.TOO_FEW_TRIALS] * 2
    assert "0 : 5 valid trials with this figure" in comparison.wanting()


@given(
    st.lists(
        st.tuples(*[st.lists(st.floats(1, 1000), min_size=1, max_size=5)] * 2),
        min_size=1,
        max_size=4,
    )
)
@settings(deadline=None, max_examples=60)
def test_the_interval_beside_worse_never_holds_1_and_only_an_interval_without_1_is_worse_or_better(
    cells: list[tuple[list[float], list[float]]],
) -> None:
    a, b = ({f"c{n + 1}": sides[side] for n, sides in enumerate(cells)} for side in (0, 1))
    for cell in compare(rows(a), rows(b)).cells:
        beyond = abs(math.log(cell.ratio.estimate)) > math.log(1.05)
        moved = cell.finding in (Change.WORSE, Change.BETTER)
        assert moved == (cell.ratio.known and 1 not in cell.ratio and beyond)


def test_two_trials_that_differ_a_thousandfold_make_no_error() -> None:
    a = {f"c{n}": [1.0, 1000.0] for n in range(1, 9)}
    comparison = compare(rows(a), rows({cell: [5.0, 5.0] for cell in a}))
    assert findings(comparison) == [Change.TOO_FEW_TRIALS] * 8


def test_cells_are_sorted_by_their_factors_in_numbers_and_named_by_what_differs() -> None:
    cells = {f"c{n}": [100.0, 101.0] for n in (32, 1, 100, 8)}
    comparison = compare(rows(cells), rows(cells))
    assert [cell.levels for cell in comparison.cells] == [("1",), ("8",), ("32",), ("100",)]
    assert comparison.named_by == ("concurrency",)
    assert comparison.common == {"topology": "parallel", "load_model": "closed"}


def test_invalid_trials_do_not_count() -> None:
    a, b = rows(STEADY), rows(faster(STEADY, 0.5))
    b.loc[b.index[:2], "valid"] = False
    assert [cell.trials_b for cell in compare(a, b).cells] == [3, 5]


def broken(cells: Mapping[str, list[float]]) -> pd.DataFrame:
    """The same cells where no request was answered: nothing is left but its failures."""
    blank = {"throughput_rps": math.nan, "response_time_p50_ms": math.nan, "valid": False}
    return rows(cells, succeeded=0, failed=100, **blank)


@pytest.mark.parametrize("metric", [Metric.THROUGHPUT, Metric.RESPONSE_TIME_P50])
@pytest.mark.parametrize("trials", [1, 5])
def test_a_b_in_which_nothing_succeeds_is_a_regression_however_few_the_trials(
    metric: Metric, trials: int
) -> None:
    cells = {cell: values[:trials] for cell, values in STEADY.items()}
    comparison = compare(rows(cells), broken(cells), metric)
    assert findings(comparison) == [Change.NOTHING_SUCCEEDED] * 2
    assert len(comparison.regressions) == 2
    assert "Nothing succeeded in 2 of 2: concurrency 1; concurrency 3." in comparison.sentences()


def test_what_never_succeeded_is_no_regression() -> None:
    assert compare(broken(STEADY), broken(STEADY)).regressions == ()
    assert compare(broken(STEADY), rows(STEADY)).regressions == ()


def test_a_b_that_answers_as_fast_and_fails_more_is_a_regression() -> None:
    failing = rows(STEADY, succeeded=80, failed=20)
    comparison = compare(rows(STEADY), failing)
    assert findings(comparison) == [Change.FAILS_MORE] * 2
    assert len(comparison.regressions) == 2
    assert (comparison.cells[0].failed_a, comparison.cells[0].failed_b) == (0, pytest.approx(0.2))
    assert findings(compare(rows(STEADY), failing, threshold=0.25)) == [Change.NO_DIFFERENCE_SHOWN] * 2


def test_a_share_of_failures_that_some_trial_of_a_had_too_is_no_regression() -> None:
    a, b = rows(STEADY), rows(STEADY, succeeded=80, failed=20)
    a.loc[a.index[::5], ["succeeded", "failed"]] = [80, 20]
    assert compare(a, b).regressions == ()


def test_what_was_changed_is_named_and_does_not_part_the_cells() -> None:
    a = rows(STEADY, client="httpx", policy=None)
    b = rows(STEADY, client="wire", policy="round_robin")
    comparison = compare(a, b)
    assert comparison.changed == {"client": ("httpx", "wire"), "policy": ("", "round_robin")}
    assert len(comparison.cells) == 2
    assert "policy: blank in A, round_robin in B." in comparison.sentences()


def test_how_well_it_was_measured_does_not_part_the_cells() -> None:
    comparison = compare(rows(STEADY, seed=1, duration_s=10.0), rows(STEADY, seed=2, duration_s=30.0))
    assert len(comparison.cells) == 2
    assert comparison.changed == {}


def test_cells_that_stand_alone_are_named() -> None:
    comparison = compare(rows(STEADY), rows({"c1": STEADY["c1"], "c8": STEADY["c1"]}))
    assert [cell.label for cell in comparison.cells] == ["concurrency 1"]
    assert (comparison.only_in_a, comparison.only_in_b) == (("concurrency 3",), ("concurrency 8",))


def test_unlike_loads_are_not_compared() -> None:
    with pytest.raises(ResultsError, match="shared level of concurrency"):
        compare(rows({"c1": STEADY["c1"]}), rows({"c3": STEADY["c3"]}))


def test_a_result_without_rows_is_named() -> None:
    with pytest.raises(ResultsError, match="A has no rows"):
        compare(rows({}), rows(STEADY))
    with pytest.raises(ResultsError, match="B has no rows"):
        compare(rows(STEADY), rows({}))


def test_a_negative_threshold_is_refused() -> None:
    with pytest.raises(BadParameter, match="threshold"):
        compare(rows(STEADY), rows(STEADY), threshold=-0.1)


def test_the_frame_has_one_row_a_cell() -> None:
    frame = compare(rows(STEADY), rows(faster(STEADY, 0.8))).frame()
    assert frame["cell"].tolist() == ["concurrency 1", "concurrency 3"]
    assert frame["finding"].tolist() == ["worse", "worse"]


HERE = Provenance.gather()


def sidecar(**changes: object) -> Sidecar:
    there = replace(HERE, **{"commit": "a" * 40, "dirty": False, **changes})
    return Sidecar(sweep_id="x", parameters={"seed": 1}, provenance=[there])


def test_results_of_one_origin_have_no_differences() -> None:
    assert differences(sidecar(), sidecar()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"commit": "b" * 40}, "Commit: aaaaaaaaaa in A, bbbbbbbbbb in B."),
        (
            {"dirty": True},
            "B was made with changes that are in no commit: its commit does not tell what ran.",
        ),
        ({"python": "PyPy 9"}, f"Python: {HERE.python} in A, PyPy 9 in B."),
        ({"event_loop": "other"}, f"Event loop: {HERE.event_loop} in A, other in B."),
        ({"packages": {**HERE.packages, "scipy": "0"}}, f"scipy: {HERE.packages['scipy']} in A, 0 in B."),
        ({"system": "Plan 9"}, f"System: {HERE.system} in A, Plan 9 in B."),
    ],
)
def test_what_differs_in_origin_is_said_in_plain_words(changes: dict[str, object], sentence: str) -> None:
    assert sentence in differences(sidecar(), sidecar(**changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cpu_model": "Z80"}, "another machine:"),
        ({"memory_mb": 1024}, "another machine:"),
        ({"event_loop": "other"}, "another event loop or parser:"),
        ({"packages": {}}, "another set of packages:"),
        ({"cpu_model": "Z80", "python": "PyPy 9"}, "another machine and another Python:"),
    ],
)
def test_other_conditions_are_said_in_the_answer(changes: dict[str, object], said: str) -> None:
    told = conditions(sidecar(), sidecar(**changes))
    assert said in told
    assert told.endswith("a difference in the figures need not come from the code.")
    compared = compare(rows(STEADY), rows(STEADY), conditions=told)
    assert told in compared.sentences()
    assert told in str(charts.outcome(compared))
    assert told in str(Report(compared))


def test_the_same_conditions_and_another_commit_are_no_condition() -> None:
    assert conditions(sidecar(), sidecar(commit="b" * 40)) == ""


def test_a_parameter_that_differs_is_named() -> None:
    other = sidecar()
    other.parameters = {"seed": 2}
    assert differences(sidecar(), other) == ["Parameter seed: 1 in A, 2 in B."]


def test_two_files_are_compared_with_their_sidecars(tmp_path: Path) -> None:
    for name, rps, seed in (("a", 100.0, 1), ("b", 80.0, 2)):
        with Results(tmp_path / f"{name}.csv", {"seed": seed}, sidecar().provenance[0]) as results:
            for trial in range(1, 6):
                results.append(make_measurement(trial=trial, throughput_rps=rps + trial))
    comparison = compare_files(tmp_path / "a.csv", tmp_path / "b.csv")
    assert findings(comparison) == [Change.WORSE]
    assert comparison.differences == ("Parameter seed: 1 in A, 2 in B.",)
    assert comparison.sentences()[-1].startswith("Geometric mean")


def test_cells_of_unlike_tunings_are_not_compared_and_are_named_by_it() -> None:
    both = pd.concat([rows(STEADY), rows(STEADY, tuning="retry_ratio=0")])
    labels = [cell.label for cell in compare(both, both).cells]
    assert labels == [
        "concurrency 1",
        "concurrency 1, tuning retry_ratio=0",
        "concurrency 3",
        "concurrency 3, tuning retry_ratio=0",
    ]
