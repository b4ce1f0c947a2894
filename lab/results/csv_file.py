"""Rows to CSV and back: appended one by one, so that a crash leaves no half row, with a sidecar beside."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pandas as pd

from lab.errors import ResultsError, SchemaMismatch, SweepMismatch
from lab.measure.measurement import Cell, Measurement
from lab.results.schema import complaints, difference, table_schema
from lab.results.sidecar import Provenance, Sidecar

__all__ = ["Results", "check", "read", "read_measurements", "require_resumable"]

_DTYPES = {str: "string", int: "Int64", float: "float64", bool: "boolean"}


class Results:
    """The result of one sweep, open for appending; a context manager. One writer at a time.

    An existing file of that name is resumed if its parameters are the same, else SweepMismatch is raised.
    """

    def __init__(
        self, path: Path, parameters: Mapping[str, Any], provenance: Provenance | None = None
    ) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            self._lock()
            self.sidecar = _resumed_or_new(path, parameters, provenance or Provenance.gather())
            _cut_torn_tail(self._descriptor)
            if os.fstat(self._descriptor).st_size == 0:
                self._write_line([column.name for column in Measurement.columns()])
            self.sidecar.write(path)
            self.done = {(m.what.cell_id, m.what.trial) for m in read_measurements(path)}
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(self, measurement: Measurement, histograms: Mapping[str, Any] | None = None) -> None:
        """Add one row. The histograms, by what they time, go to the sidecar first: no row lacks its own."""
        if histograms:
            self.sidecar.histograms[f"{measurement.what.cell_id}/{measurement.what.trial}"] = dict(histograms)
            self.sidecar.write(self.path)
        self._write_line([_text(cell) for cell in measurement.row().values()])
        self.done.add((measurement.what.cell_id, measurement.what.trial))

    def close(self) -> None:
        """Let go of the file. What was appended is there already."""
        os.close(self._descriptor)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ResultsError(
                f"{self.path} is being written by another sweep: wait, or use another name"
            ) from error

    def _write_line(self, cells: list[str]) -> None:
        """One line by one write: whoever reads or crashes meanwhile meets whole rows."""
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise SchemaMismatch(f"a cell with a line break cannot be kept in a row: {cells}")
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerow(cells)
        line = buffer.getvalue().encode()
        size = os.fstat(self._descriptor).st_size
        written = os.write(self._descriptor, line)
        if written < len(line):
            os.ftruncate(self._descriptor, size)
            raise ResultsError(
                f"{self.path} took {written} of {len(line)} bytes: make room on the disk and resume"
            )


def read(path: Path | str) -> pd.DataFrame:
    """The rows as a frame, typed by column: string, Int64, float64 (blank is NaN), boolean, UTC times.

    Raises ResultsError for a missing file, SchemaMismatch for other columns than the contract's, or
    cells of another type.
    """
    columns = Measurement.columns()
    _rows(Path(path))
    dtypes: Any = {c.name: _DTYPES.get(c.type, "string") for c in columns if c.type is not datetime}
    try:
        frame: pd.DataFrame = pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""])
        for column in columns:
            if column.type is datetime:
                frame[column.name] = pd.to_datetime(frame[column.name], utc=True, format="ISO8601")
    except ValueError as error:
        raise SchemaMismatch(
            f"{path} has a cell of another type than its column ({error}): `lab check {path}` names it"
        ) from error
    return frame


def read_measurements(path: Path | str) -> list[Measurement]:
    """The rows as measurements. Raises as `read` does."""
    return [Measurement.from_row(row) for row in _rows(Path(path))]


def check(path: Path | str, schema: Mapping[str, Any] | None = None) -> int:
    """How many rows it has, each held against the schema. Raises SchemaMismatch, naming ten faults."""
    header, *lines = _lines(Path(path)) or [[]]
    rows = [dict(zip(header, line, strict=False)) for line in lines]
    faults = list(complaints(schema or table_schema(), header, rows))
    if faults:
        more = f" … and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise SchemaMismatch(f"{path} breaks the contract of columns: " + "; ".join(faults[:10]) + more)
    return len(rows)


def require_resumable(path: Path, parameters: Mapping[str, Any]) -> None:
    """Raises ResultsError for a file of that name which `Results` could not go on with; writes nothing."""
    _resumed(path, parameters)
    if path.exists():
        _rows(path)


def _resumed(path: Path, parameters: Mapping[str, Any]) -> Sidecar | None:
    """The sidecar of what is there, if anything is."""
    begun = path.exists() and path.stat().st_size > 0
    if not begun and not Sidecar.path_for(path).exists():
        return None
    asked = _as_json(parameters)
    sidecar = Sidecar.read(path)
    differing = sorted(
        name for name in {*asked, *sidecar.parameters} if asked.get(name) != sidecar.parameters.get(name)
    )
    if differing:
        was = ", ".join(f"{n} was {sidecar.parameters.get(n)!r} and is {asked.get(n)!r}" for n in differing)
        raise SweepMismatch(
            f"{path} is a sweep with other parameters ({was}): choose another name, or the same"
        )
    return sidecar


def _resumed_or_new(path: Path, parameters: Mapping[str, Any], provenance: Provenance) -> Sidecar:
    sidecar = _resumed(path, parameters)
    if sidecar is None:
        return Sidecar(sweep_id=path.stem, parameters=_as_json(parameters), provenance=[provenance])
    if provenance != sidecar.provenance[-1]:
        sidecar.provenance.append(provenance)
    return sidecar


def _as_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """As they will be read back."""
    plain: dict[str, Any] = json.loads(json.dumps(parameters))
    return plain


def _cut_torn_tail(descriptor: int) -> None:
    """Drop what follows the last line break: the beginning of a row whose writer was killed."""
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, content.rfind(b"\n") + 1)


def _lines(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultsError(f"there is no file {path}: check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} is no CSV that can be read ({error}): name a result") from None
    return list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    header, *lines = _lines(path) or [[]]
    wanted = [column.name for column in Measurement.columns()]
    if header != wanted:
        raise SchemaMismatch(f"{path} is no result of this lab, by its columns: {difference(header, wanted)}")
    return (dict(zip(header, line, strict=False)) for line in lines)


def _text(cell: Cell) -> str:
    """How a cell is written: seven significant digits, times as ISO 8601, truth in lower case."""
    match cell:
        case None:
            return ""
        case bool():
            return str(cell).lower()
        case float():
            return f"{cell:.7g}"
        case datetime():
            return cell.isoformat()
    return str(cell)
