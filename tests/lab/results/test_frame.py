"""Rows come as a frame, and rows of several cells are not pooled for want of a factor."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest

from lab import charts
from lab.compare import compare
from lab.errors import ResultsError, SchemaMismatch
from lab.measure.columns import Factors
from lab.measure.factors import HOW_IT_WAS_MEASURED, cell_id
from lab.measure.measurement import Measurement
from lab.results import (
    Results,
    Sidecar,
    check,
    read,
    read_measurements,
    require_cells_apart,
    require_columns,
)
from lab.sweep.windows import Windows
from tests.support.measurements import make_measurement

BASELINE = Path(__file__).parents[3] / "results" / "baseline-2026-11-22.csv"
OPTIONAL = [column.name for column in Measurement.columns() if not column.required]


def written(path: Path, rows: Iterable[dict[str, str]]) -> pd.DataFrame:
    """Write the rows, and read them."""
    rows = list(rows)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return read(path)


def refusal(of: Callable[[], object], otherwise: str) -> str:
    """What this is refused with; `otherwise` if it works."""
    try:
        of()
    except ResultsError as refused:
        return str(refused)
    return otherwise


@pytest.fixture(scope="module")
def baseline() -> list[dict[str, str]]:
    """The committed baseline's first two trials where the documents are judged, as text."""
    with BASELINE.open(newline="") as file:
        return [
            row
            for row in csv.DictReader(file)
            if row["concurrency"] in ("1", "3") and row["trial"] in ("1", "2")
        ]


def row_of(factors: Factors, trial: int) -> dict[str, str]:
    """A row of text with the cell's own id."""
    cells = {name: "" if cell is None else str(cell) for name, cell in asdict(factors).items()}
    rest = {"sweep_id": "made-up", "trial": str(trial), "started_at": "2026-01-01T00:00:00+00:00"}
    rest |= {"cell_id": cell_id(factors), "throughput_rps": f"{100 + trial}"}
    counts = {"requests": "9", "succeeded": "9", "failed": "0", "dropped": "0", "valid": "true"}
    return rest | cells | counts


CLOSED = Factors(
    topology="parallel", policy="random", load_model="closed", concurrency=1, duration_s=4.0, seed=1
)


def test_a_frame_is_typed_by_column(tmp_path: Path) -> None:
    with Results(tmp_path / "mine.csv", {}) as results:
        results.append(make_measurement())
        results.append(make_measurement(trial=2).invalidated(["not_steady"]))
    frame = read(tmp_path / "mine.csv")
    assert str(frame["started_at"].dtype).endswith("UTC]")
    assert [
        str(frame[c].dtype) for c in ("cell_id", "trial", "throughput_rps", "valid", "requested_rate")
    ] == [
        "string",
        "Int64",
        "float64",
        "boolean",
        "float64",
    ]
    assert frame["response_time_p50_ms"].isna().tolist() == [False, True]
    assert frame["valid"].tolist() == [True, False]


def test_the_committed_baseline_is_read_and_drawn_and_compared() -> None:
    rows = read(BASELINE)
    assert check(BASELINE) == len(rows) == 280
    require_cells_apart(rows)
    assert len(compare(rows, rows).cells) == 28


def test_the_ids_of_the_baselines_cells_follow_from_its_rows() -> None:
    """A warm-up can last longer than planned; the plan's length is in the hash."""
    windows = Windows(**Sidecar.read(BASELINE).parameters["windows"])
    for row in read_measurements(BASELINE):
        levels = asdict(row.factors) | {"duration_s": None, "warmup_s": None}
        planned = replace(row.factors, **asdict(windows.of(levels)))
        assert cell_id(planned) == row.what.cell_id


@pytest.mark.parametrize("column", OPTIONAL)
def test_the_baseline_without_an_optional_column_is_drawn_and_compared_or_the_column_is_named(
    tmp_path: Path, baseline: list[dict[str, str]], column: str
) -> None:
    whole = written(tmp_path / "whole.csv", baseline)
    rows = written(tmp_path / "part.csv", [{n: c for n, c in row.items() if n != column} for row in baseline])
    for of in (lambda: charts.cells(rows), lambda: charts.verdicts(rows), lambda: compare(whole, rows)):
        assert column in refusal(of, otherwise=column)


def test_cells_are_paired_without_a_factor_that_one_file_lacks_where_they_stay_apart(
    tmp_path: Path, baseline: list[dict[str, str]]
) -> None:
    whole = written(tmp_path / "whole.csv", baseline)
    rows = [{n: c for n, c in row.items() if n != "policy"} for row in baseline]
    compared = compare(whole, written(tmp_path / "part.csv", rows))
    assert (len(compared.cells), compared.only_in_a, compared.only_in_b) == (8, (), ())
    assert "Cells are paired without policy: one of the two has no such column." in compared.sentences()


def test_rows_of_two_cells_are_not_pooled_for_want_of_the_column_that_told_them_apart(
    tmp_path: Path, baseline: list[dict[str, str]]
) -> None:
    rows = [{n: c for n, c in row.items() if n != "work_distribution"} for row in baseline]
    frame = written(tmp_path / "part.csv", rows)
    for of in (require_cells_apart, charts.throughput, lambda rows: compare(rows, rows)):
        with pytest.raises(SchemaMismatch, match="restore the column work_distribution"):
            of(frame)


def test_neither_are_rows_whose_column_was_made_blank(tmp_path: Path, baseline: list[dict[str, str]]) -> None:
    frame = written(tmp_path / "blank.csv", [row | {"work_distribution": ""} for row in baseline])
    with pytest.raises(SchemaMismatch, match="have equal factors"):
        require_cells_apart(frame)


def test_nor_rows_of_one_cell_that_have_a_factor_and_lack_it(tmp_path: Path) -> None:
    rows = [row_of(CLOSED, 1), row_of(CLOSED, 2) | {"policy": ""}]
    with pytest.raises(SchemaMismatch, match=r"their policy is blank, random"):
        require_cells_apart(written(tmp_path / "mixed.csv", rows))


@pytest.mark.parametrize("how", HOW_IT_WAS_MEASURED)
def test_cells_that_differ_in_how_they_were_measured_are_pooled(tmp_path: Path, how: str) -> None:
    other = replace(CLOSED, **{how: "auto" if how == "warmup_mode" else 9})
    require_cells_apart(written(tmp_path / "pooled.csv", [row_of(CLOSED, 1), row_of(other, 1)]))


def test_a_file_without_the_column_of_a_factor_need_not_be_refused_for_it(tmp_path: Path) -> None:
    rows = [row_of(replace(CLOSED, concurrency=level), trial) for level in (1, 3) for trial in (1, 2)]
    lacking = [{n: c for n, c in row.items() if n not in ("policy", "protocol")} for row in rows]
    require_cells_apart(written(tmp_path / "apart.csv", lacking))


def test_rows_in_any_order_are_told_apart_alike(tmp_path: Path, baseline: list[dict[str, str]]) -> None:
    random.Random(1).shuffle(baseline)
    require_cells_apart(written(tmp_path / "shuffled.csv", baseline))


def test_a_column_that_the_file_lacks_is_named_and_one_that_is_blank_is_not(tmp_path: Path) -> None:
    lacking = row_of(CLOSED, 1)
    del lacking["throughput_rps"]
    require_columns(written(tmp_path / "blank.csv", [row_of(CLOSED, 1)]), "throughput_rps", "corpus")
    with pytest.raises(SchemaMismatch, match="needs the column throughput_rps, which the file lacks"):
        require_columns(written(tmp_path / "part.csv", [lacking]), "corpus", "throughput_rps")
