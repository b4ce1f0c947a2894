from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.compare import Change, Comparison, Metric, compare, compare_files, differences
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


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_three_trials_a_side_are_too_few_whatever_they_say(trials: int) -> None:
    few = {cell: values[:trials] for cell, values in STEADY.items()}
    comparison = compare(rows(few), rows(faster(few, 0.1)))
    assert findings(comparison) == [Change.TOO_FEW_TRIALS] * 2
    assert math.isnan(comparison.cells[0].p)
    assert "Too few trials in 2 of 2" in " ".join(comparison.sentences())


def test_four_trials_a_side_are_enough_for_one_cell_and_too_few_for_two() -> None:
    four = {cell: values[:4] for cell, values in STEADY.items()}
    one = {"c1": four["c1"]}
    assert findings(compare(rows(one), rows(faster(one, 0.5)))) == [Change.WORSE]
    assert findings(compare(rows(four), rows(faster(four, 0.5)))) == [Change.TOO_FEW_TRIALS] * 2


def test_a_cell_with_too_few_trials_burdens_no_other() -> None:
    mixed = {"c1": STEADY["c1"][:4], **{f"c{n}": [50.0, 51.0] for n in (3, 8, 32)}}
    found = findings(compare(rows(mixed), rows(faster(mixed, 0.5))))
    assert found == [Change.WORSE, *[Change.TOO_FEW_TRIALS] * 3]


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


def pairs(slowdown: float, *, cells: int = 1, seed: int = 0) -> list[bool]:
    """Of 100 pairs with ten trials a side that scatter by 5 %: whether any cell is worse or better."""
    draw = np.random.default_rng(seed)
    flagged = []
    for _ in range(100):
        a, b = (
            rows({f"c{n + 1}": (100 * factor * draw.normal(1, 0.05, 10)).tolist() for n in range(cells)})
            for factor in (1, 1 - slowdown)
        )
        shown = findings(compare(a, b))
        flagged.append(Change.WORSE in shown or Change.BETTER in shown)
    return flagged


@pytest.mark.parametrize("cells", [1, 4])
def test_a_against_a_flags_at_most_5_of_100_pairs(cells: int) -> None:
    assert sum(pairs(0.0, cells=cells, seed=1)) <= 5


def test_a_slow_down_of_10_percent_is_caught_in_95_of_100_pairs() -> None:
    assert sum(pairs(0.10, seed=2)) >= 95


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
        (
            {"cpu_model": "Z80"},
            "The machines differ, so a difference in the figures need not come from the code.",
        ),
    ],
)
def test_what_differs_in_origin_is_said_in_plain_words(changes: dict[str, object], sentence: str) -> None:
    assert sentence in differences(sidecar(), sidecar(**changes))


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
