from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from lab.measure.measurement import Measurement
from lab.results.schema import complaints, table_schema
from tests.support.measurements import make_measurement

ROOT = Path(__file__).parents[3]


@pytest.fixture
def row() -> dict[str, str]:
    cells = make_measurement().row().items()
    return {
        name: "" if cell is None else str(cell).lower() if cell is True else str(cell) for name, cell in cells
    }


def test_the_committed_schema_is_the_one_that_the_columns_give() -> None:
    assert json.loads((ROOT / "results" / "schema.json").read_text(encoding="utf-8")) == table_schema()


def test_the_command_prints_the_schema() -> None:
    printed = subprocess.run(
        (sys.executable, "-m", "lab.results.schema"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(printed.stdout) == table_schema()


def test_the_schema_has_the_shape_of_a_table_schema() -> None:
    types = ["string", "integer", "number", "boolean", "datetime"]
    constraints = {
        "type": "object",
        "properties": {"required": {"const": True}, "minimum": {"type": "number"}, "enum": {"type": "array"}},
    }
    described = {
        "type": "object",
        "required": ["name", "type", "description"],
        "properties": {"name": {"type": "string"}, "type": {"enum": types}, "constraints": constraints},
    }
    shape = {
        "type": "object",
        "required": ["fields"],
        "properties": {"fields": {"type": "array", "items": described}},
    }
    complaints_of_shape = jsonschema.Draft202012Validator(shape).iter_errors(table_schema())
    assert [error.message for error in complaints_of_shape] == []


def test_a_sound_row_draws_no_complaint(row: dict[str, str]) -> None:
    assert list(complaints(table_schema(), [(2, row)])) == []


@pytest.mark.parametrize(
    ("column", "text", "complaint"),
    [
        ("cell_id", "", "blank and required"),
        ("trial", "0", "outside"),
        ("trial", "1.5", "not a integer"),
        ("throughput_rps", "fast", "not a number"),
        ("throughput_rps", "nan", "not a number"),
        ("throughput_rps", "-1", "outside"),
        ("valid", "yes", "not a boolean"),
        ("started_at", "noon", "not a datetime"),
        ("work_ms", "40;40", "does not match"),
        ("failures", "refused:2", "does not match"),
        ("verdict_latency", "splendid", "none of"),
    ],
)
def test_a_cell_that_breaks_the_contract_is_named(
    row: dict[str, str], column: str, text: str, complaint: str
) -> None:
    (said,) = complaints(table_schema(), [(2, row), (3, row | {column: text})])
    assert said.startswith(f"line 3, column {column}:")
    assert complaint in said


def test_an_optional_column_may_be_missing_and_an_unknown_one_may_hold_anything(row: dict[str, str]) -> None:
    del row["predicted_response_time_ms"]
    assert list(complaints(table_schema(), [(2, row | {"mood": "fair"})])) == []


def test_a_missing_required_column_is_a_blank_one(row: dict[str, str]) -> None:
    del row["valid"]
    (said,) = complaints(table_schema(), [(2, row)])
    assert said == "line 2, column valid: is blank and required"


def test_the_schema_names_the_newest_version_of_the_columns() -> None:
    assert table_schema()["version"] == max(column.since for column in Measurement.columns())
