"""Rows to a CSV and back as text: appended one by one, so that a crash leaves no half row."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.errors import ResultsError, SchemaMismatch, SweepMismatch
from lab.measure.columns import SCHEMA_VERSION
from lab.measure.measurement import Cell, Measurement
from lab.results.schema import complaints, few, table_schema
from lab.results.sidecar import Provenance, Sidecar, write_whole

__all__ = ["CsvTable", "Results", "check", "read_measurements", "require_resumable"]


@dataclass(frozen=True, slots=True)
class CsvTable:
    """The text of a result: the names of its columns, and its whole rows, each with its line."""

    path: Path
    header: Sequence[str]
    rows: Sequence[tuple[int, Sequence[str]]]

    @classmethod
    def read(cls, path: Path) -> CsvTable:
        """Read the CSV at `path`; a last row without a line end is left out.

        Raises ResultsError for a file that is not there, SchemaMismatch for one that is no result, naming
        the line: required columns are missing, a column occurs twice, or a row has another number of cells.
        """
        lines = _lines(path)
        _, header = next(lines, (1, []))
        missing = [c.name for c in Measurement.columns() if c.required and c.name not in header]
        if missing:
            raise SchemaMismatch(
                f"{path} is no result of this lab: its first line lacks columns that every result has, "
                f"missing {few(missing)}"
            )
        twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
        if twice:
            raise SchemaMismatch(f"{path}, line 1: column {few(twice)} occurs twice: remove one of the two")
        rows = [(number, cells) for number, cells in lines if cells]
        for number, cells in rows:
            if len(cells) != len(header):
                raise SchemaMismatch(
                    f"{path}, line {number}: {len(cells)} cells for {len(header)} columns: mend or remove it"
                )
        return cls(path, header, rows)

    def cells(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Yield the line of each row, and its cells by column."""
        return ((number, dict(zip(self.header, cells, strict=True))) for number, cells in self.rows)

    @property
    def absent(self) -> tuple[str, ...]:
        """The columns of the contract that the file lacks, in its order."""
        return tuple(c.name for c in Measurement.columns() if c.name not in self.header)

    def current(self) -> CsvTable:
        """Return the same rows under the newest header; unknown columns come last.

        A header that has every column of the contract stays as it is.
        """
        if not self.absent:
            return self
        known = [column.name for column in Measurement.columns()]
        header = [*known, *(name for name in self.header if name not in known)]
        rows = [(number, [row.get(name, "") for name in header]) for number, row in self.cells()]
        return CsvTable(self.path, header, rows)

    def text(self) -> str:
        """Return the table as it stands in a file."""
        return "".join(map(_line, [self.header, *(cells for _, cells in self.rows)]))


class Results:
    """The result of one sweep, open for appending; a context manager. One writer at a time.

    An existing file of that name is resumed if its parameters are the same, else SweepMismatch is raised. One
    that lacks columns keeps its rows and gets the newest header; a crash leaves the old file or the new one.
    """

    def __init__(
        self, path: Path, parameters: Mapping[str, Any], provenance: Provenance | None = None
    ) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = _open_locked(path)
        try:
            self.sidecar = _resumed_or_new(path, parameters, provenance or Provenance.gather())
            _cut_torn_tail(self._descriptor)
            self._header = self._renewed_header()
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
        """Add one row, and before it its histograms, by what they time, to the sidecar.

        Raises SchemaMismatch for a cell with a line break, ResultsError where the disk is full.
        """
        if histograms:
            self.sidecar.histograms[f"{measurement.what.cell_id}/{measurement.what.trial}"] = dict(histograms)
            self.sidecar.write(self.path)
        cells = measurement.row()
        self._write_line([_text(cells.get(name)) for name in self._header])
        self.done.add((measurement.what.cell_id, measurement.what.trial))

    def close(self) -> None:
        """Close the file. What was appended is on the disk already."""
        os.close(self._descriptor)

    def _renewed_header(self) -> Sequence[str]:
        """Give the file the newest header, and return that header."""
        if os.fstat(self._descriptor).st_size == 0:
            header = [column.name for column in Measurement.columns()]
            self._write_line(header)
            return header
        table = CsvTable.read(self.path)
        current = table.current()
        if current.header != table.header:
            write_whole(self.path, current.text().encode())
            renewed = _open_locked(self.path)
            os.close(self._descriptor)
            self._descriptor = renewed
        return current.header

    def _write_line(self, cells: Sequence[str]) -> None:
        """Append one line by one write: a reader, or a crash, meets whole rows only."""
        line = _line(cells).encode()
        size = os.fstat(self._descriptor).st_size
        written = os.write(self._descriptor, line)
        if written < len(line):
            os.ftruncate(self._descriptor, size)
            raise ResultsError(
                f"{self.path} took {written} of {len(line)} bytes: make room on the disk and resume"
            )


def read_measurements(path: Path | str) -> list[Measurement]:
    """Return the rows as measurements.

    Raises ResultsError for a missing file, SchemaMismatch for what is no result, or for a cell that does not
    fit its column, naming the line and the column.
    """
    return [_measurement(path, number, row) for number, row in CsvTable.read(Path(path)).cells()]


def check(path: Path | str, schema: Mapping[str, Any] | None = None) -> int:
    """Return the number of rows, each held against the schema. Raises SchemaMismatch, naming ten faults.

    Optional columns may be missing, and columns that the schema does not have may stand beside the others.
    """
    rows = list(CsvTable.read(Path(path)).cells())
    faults = list(complaints(schema or table_schema(), rows))
    if faults:
        more = f" … and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise SchemaMismatch(f"{path} breaks the contract of columns: " + "; ".join(faults[:10]) + more)
    return len(rows)


def require_resumable(path: Path, parameters: Mapping[str, Any]) -> None:
    """Raise ResultsError for a file of that name which `Results` could not go on with; write nothing."""
    _resumed(path, parameters)
    if path.exists() and next(_lines(path), None):
        CsvTable.read(path)


def _measurement(path: Path | str, number: int, row: Mapping[str, str]) -> Measurement:
    try:
        return Measurement.from_row(row)
    except SchemaMismatch as error:
        raise SchemaMismatch(f"{path}, line {number}: {error}") from None


def _open_locked(path: Path) -> int:
    """Open the file for appending and lock it. Raises ResultsError while another sweep has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            raise ResultsError(
                f"{path} is being written by another sweep: wait, or use another name"
            ) from error
        os.close(descriptor)  # another sweep has just given the file a new header: open that one


def _resumed(path: Path, parameters: Mapping[str, Any]) -> Sidecar | None:
    """Return the sidecar of the result that is there, if any is. Raises SweepMismatch, or as it is read."""
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
        return Sidecar(
            sweep_id=path.stem,
            parameters=_as_json(parameters),
            provenance=[provenance],
            schema_version=SCHEMA_VERSION,
        )
    if provenance != sidecar.provenance[-1]:
        sidecar.provenance.append(provenance)
    sidecar.schema_version = max(sidecar.schema_version, SCHEMA_VERSION)
    return sidecar


def _as_json(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as they will be read back."""
    plain: dict[str, Any] = json.loads(json.dumps(parameters))
    return plain


def _cut_torn_tail(descriptor: int) -> None:
    """Drop what follows the last line break: the beginning of a row whose writer was killed."""
    size = os.fstat(descriptor).st_size
    content = os.pread(descriptor, size, 0)
    os.ftruncate(descriptor, content.rfind(b"\n") + 1)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each whole line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ResultsError(f"there is no file {path}: check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path} is no CSV that can be read ({error}): name a result") from None
    reader = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    return ((reader.line_num, cells) for cells in _sound(path, reader))


def _sound(path: Path, lines: Iterable[list[str]]) -> Iterator[list[str]]:
    try:
        yield from lines
    except csv.Error as error:
        raise ResultsError(f"{path} is no CSV that can be read ({error}): name a result") from None


def _line(cells: Sequence[str]) -> str:
    if any("\n" in cell or "\r" in cell for cell in cells):
        raise SchemaMismatch(f"a cell with a line break cannot be kept in a row: {cells}")
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()


def _text(cell: Cell) -> str:
    """Write a cell: seven significant digits, times as ISO 8601, truth in lower case."""
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
