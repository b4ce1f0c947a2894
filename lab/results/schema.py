"""The Table Schema of a result, generated from the columns, and rows held against it.

`python -m lab.results.schema > results/schema.json` writes the committed one; a test holds the two together.
Only what the schema uses of the standard is checked here: type, required, minimum, maximum, pattern, enum.
(https://specs.frictionlessdata.io/table-schema/)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from lab.measure.measurement import Column, Measurement

__all__ = ["complaints", "difference", "table_schema"]

_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    datetime: "datetime",
}
_NUMBERS = ("integer", "number")


def table_schema() -> dict[str, Any]:
    """The schema of one row, as JSON-ready data."""
    return {
        "$schema": "https://specs.frictionlessdata.io/schemas/table-schema.json",
        "description": "One row is one trial. A blank cell does not apply, or must not be said.",
        "fields": [_field(column) for column in Measurement.columns()],
        "missingValues": [""],
    }


def complaints(
    schema: Mapping[str, Any], header: list[str], rows: Iterable[Mapping[str, str]]
) -> Iterator[str]:
    """What is wrong with these rows of text, cell by cell. Rows count from 2, as in an editor."""
    wanted = [f["name"] for f in schema["fields"]]
    if header != wanted:
        yield f"the columns differ from the schema: {difference(header, wanted)}"
        return
    for line, row in enumerate(rows, start=2):
        for spec in schema["fields"]:
            wrong = _complaint(spec, row.get(spec["name"]))
            if wrong:
                yield f"row {line}, column {spec['name']}: {wrong}"


def difference(header: list[str], wanted: list[str]) -> str:
    """In what a header that is not the one wanted differs from it, with the first few names."""
    told = [
        ("missing", [name for name in wanted if name not in header]),
        ("unknown", [name for name in header if name not in wanted]),
    ]
    return "; ".join(f"{what} {_few(names)}" for what, names in told if names) or "in another order"


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name[:40] for name in names[:3]) + more


def _field(column: Column) -> dict[str, Any]:
    constraints = dict(column.constraints)
    if column.required:
        constraints["required"] = True
    if issubclass(column.type, StrEnum):
        constraints["enum"] = [str(member) for member in column.type]
    described = {
        "name": column.name,
        "type": "string" if issubclass(column.type, StrEnum) else _TYPES[column.type],
        "description": column.description,
    }
    if column.type is datetime:
        described["format"] = "any"
    return described | ({"constraints": constraints} if constraints else {})


def _complaint(spec: Mapping[str, Any], text: str | None) -> str | None:
    """What is wrong with this cell, or None."""
    rules = spec.get("constraints", {})
    if text is None:
        return "the row is too short"
    if text == "":
        return "is blank and required" if rules.get("required") else None
    if not _is_a(spec["type"], text):
        return f"{text!r} is not a {spec['type']}"
    if spec["type"] in _NUMBERS and not rules.get("minimum", float("-inf")) <= float(text) <= rules.get(
        "maximum", float("inf")
    ):
        return f"{text} lies outside {rules.get('minimum', '')} … {rules.get('maximum', '')}"
    if "pattern" in rules and not re.fullmatch(rules["pattern"], text):
        return f"{text!r} does not match {rules['pattern']}"
    if "enum" in rules and text not in rules["enum"]:
        return f"{text!r} is none of {rules['enum']}"
    return None


def _is_a(type_name: str, text: str) -> bool:
    try:
        match type_name:
            case "integer":
                int(text)
            case "number":
                return float(text) == float(text)  # not a number is not a number
            case "boolean":
                return text in ("true", "false")
            case "datetime":
                datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps(table_schema(), indent=2, ensure_ascii=False))
