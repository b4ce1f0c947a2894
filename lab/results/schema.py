"""The Table Schema of a result, generated from the columns, and rows held against the schema.

`python -m lab.results.schema > results/schema.json` writes the committed one; a test holds the two together.
Only what the schema uses of the standard is checked here: type, required, minimum, maximum, pattern, enum.
(https://specs.frictionlessdata.io/table-schema/)
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from lab.measure.columns import SCHEMA_VERSION
from lab.measure.measurement import Column, Measurement

__all__ = ["complaints", "few", "table_schema"]

_TYPES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    datetime: "datetime",
}
_NUMBERS = ("integer", "number")


def table_schema() -> dict[str, Any]:
    """Return the schema of one row, as JSON-ready data."""
    return {
        "$schema": "https://specs.frictionlessdata.io/schemas/table-schema.json",
        "version": SCHEMA_VERSION,
        "description": "One row is one trial. A blank cell does not apply, or must not be said.",
        "fields": [_field(column) for column in Measurement.columns()],
        "missingValues": [""],
    }


def complaints(schema: Mapping[str, Any], rows: Iterable[tuple[int, Mapping[str, str]]]) -> Iterator[str]:
    """Yield what is wrong with rows of text, cell by cell; each row comes with its line.

    A column that a row lacks is blank; one that the schema lacks may hold anything.
    """
    for line, row in rows:
        for spec in schema["fields"]:
            wrong = _complaint(spec, row.get(spec["name"], ""))
            if wrong:
                yield f"line {line}, column {spec['name']}: {wrong}"


def few(names: Sequence[str]) -> str:
    """Return the first three names, shortened, and how many more there are."""
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


def _complaint(spec: Mapping[str, Any], text: str) -> str | None:
    """Return what is wrong with a cell, or None."""
    rules = spec.get("constraints", {})
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
                return math.isfinite(float(text))
            case "boolean":
                return text in ("true", "false")
            case "datetime":
                datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    print(json.dumps(table_schema(), indent=2, ensure_ascii=False))
