"""Rows as a pandas frame, and what must hold before rows are pooled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from lab.errors import SchemaMismatch
from lab.measure.columns import Factors
from lab.measure.factors import HOW_IT_WAS_MEASURED, cell_id, factor_columns
from lab.measure.measurement import Column, Measurement
from lab.results.csv_table import CsvTable
from lab.results.schema import few

__all__ = ["absent_columns", "frame_of", "read", "require_cells_apart", "require_columns"]

_DTYPES: Mapping[type, str] = {str: "string", int: "Int64", float: "float64", bool: "boolean"}
_ABSENT = "absent columns"


def read(path: Path | str) -> pd.DataFrame:
    """Return the rows as a frame, typed by column: string, Int64, float64 (blank is NaN), boolean, UTC times.

    Columns that the file lacks are blank; unknown columns come last, as text. Raises ResultsError
    for a missing file, SchemaMismatch for what is no result, or for a cell that does not fit its column,
    naming the line and the column.
    """
    table = CsvTable.read(Path(path))
    lines, rows = [number for number, _ in table.rows], [cells for _, cells in table.rows]
    texts = {name: [cells[place] for cells in rows] for place, name in enumerate(table.header)}
    blank = [""] * len(rows)
    known = {c.name: _series(table.path, lines, c, texts.pop(c.name, blank)) for c in Measurement.columns()}
    unknown = {name: pd.Series([text or None for text in of], dtype="string") for name, of in texts.items()}
    frame = pd.DataFrame(known | unknown)
    frame.attrs[_ABSENT] = table.absent
    return frame


def frame_of(rows: Iterable[Measurement]) -> pd.DataFrame:
    """Return rows as `read` gives those of a file."""
    cells = [row.row() for row in rows]
    types = {column.name: _DTYPES.get(column.type, "string") for column in Measurement.columns()}
    dates = {column.name for column in Measurement.columns() if column.type is datetime}
    return pd.DataFrame(
        {
            name: pd.to_datetime(pd.Series([row[name] for row in cells]), utc=True)
            if name in dates
            else pd.Series([row[name] for row in cells], dtype=of)
            for name, of in types.items()
        }
    )


def absent_columns(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns of the contract that the file of `rows` lacks."""
    absent: tuple[str, ...] = rows.attrs.get(_ABSENT, ())
    return absent


def require_columns(rows: pd.DataFrame, *names: str) -> None:
    """Raise SchemaMismatch if the file that `rows` were read from lacks one of these columns."""
    lacking = [name for name in dict.fromkeys(names) if name in absent_columns(rows)]
    if lacking:
        raise SchemaMismatch(
            f"this needs the column {few(lacking)}, which the file lacks: name a result that has it"
        )


def require_cells_apart(rows: pd.DataFrame) -> None:
    """Raise SchemaMismatch where pooling rows of equal factors would mix cells.

    So it is where a factor that told cells apart is missing: one cell_id covers rows with several values of a
    factor, or rows with equal factors have several cell_ids. How well a cell was measured makes another cell,
    and no other factors: cells that differ in that alone are pooled.
    """
    if "cell_id" not in rows or not rows["cell_id"].notna().any():
        return
    telling = [c.name for c in factor_columns() if c.name not in HOW_IT_WAS_MEASURED and c.name in rows]
    values = rows.groupby("cell_id")[telling].nunique(dropna=False)
    for name, several in values[(values > 1).any(axis=1)].iterrows():
        column = next(column for column in telling if several[column] > 1)
        levels = ", ".join(sorted({_level(value) for value in rows.loc[rows["cell_id"] == name, column]}))
        raise SchemaMismatch(
            f"the rows of cell {name} are of several cells: their {column} is {levels}: "
            "fill in the blank ones, or keep the rows of one"
        )
    lacking = _lacking_factors(rows)
    for _, alike in rows.groupby(telling, dropna=False):
        cells = {str(name): of_cell for name, of_cell in alike.groupby("cell_id")}
        if len(cells) > 1 and not (_all_said(cells) or (not lacking and _measured_otherwise(cells))):
            missing = f"the column {few(lacking)}" if lacking else "the column of a factor"
            raise SchemaMismatch(
                f"the cells {few(list(cells))} have equal factors, so their rows cannot be told apart: "
                f"restore {missing}, which is missing, or give the rows of one of them"
            )


def _series(path: Path, lines: list[int], column: Column, texts: list[str]) -> pd.Series[Any]:
    """Return the cells of a column with its type."""
    cells = []
    for number, text in zip(lines, texts, strict=True):
        try:
            cells.append(column.parse(text))
        except SchemaMismatch as error:
            raise SchemaMismatch(f"{path}, line {number}: {error}") from None
    if column.type is datetime:
        return pd.to_datetime(pd.Series(texts, dtype="object"), utc=True, format="ISO8601")
    if column.type not in _DTYPES:  # what is chosen by name stays text
        cells = [text or None for text in texts]
    return pd.Series(cells, dtype=_DTYPES.get(column.type, "string"))


def _lacking_factors(rows: pd.DataFrame) -> list[str]:
    """Return the factors that the rows' file lacks, of its version: later ones cannot have told its cells."""
    absent = absent_columns(rows)
    version = max((c.since for c in Measurement.columns() if c.name not in absent), default=1)
    return [c.name for c in factor_columns() if c.name in absent and c.since <= version]


def _all_said(cells: Mapping[str, pd.DataFrame]) -> bool:
    """Whether the factors of each cell make its id, so that none of them is missing."""
    return all(any(_makes(factors, name) for factors in _factors_in(of)) for name, of in cells.items())


def _makes(factors: Factors, name: str) -> bool:
    """Whether the factors make that id, with the warm-up as planned: it can last longer, never shorter."""
    tenths = range(int((factors.warmup_s or 0.0) * 10) + 2)
    return any(cell_id(replace(factors, warmup_s=tenth / 10)) == name for tenth in tenths)


def _factors_in(rows: pd.DataFrame) -> list[Factors]:
    names = [column.name for column in factor_columns()]
    known: list[dict[str, Any]] = [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in rows[names].drop_duplicates().to_dict("records")
    ]
    return [Factors(**levels) for levels in known if levels["concurrency"] or levels["requested_rate"]]


def _measured_otherwise(cells: Mapping[str, pd.DataFrame]) -> bool:
    """Whether no two of the cells have rows that were measured in the same way."""
    ways = [
        set(of[list(HOW_IT_WAS_MEASURED)].astype("string").fillna("").itertuples(index=False, name=None))
        for of in cells.values()
    ]
    return len(set().union(*ways)) == sum(map(len, ways))


def _level(value: object) -> str:
    return "blank" if pd.isna(value) else str(value)  # type: ignore[call-overload]
