"""Rows to a CSV, appended one by one, so that a crash leaves no half row, and back as measurements."""

from __future__ import annotations

import csv
import errno
import fcntl
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.errors import ResultsError, SchemaMismatch, SweepMismatch
from lab.measure.columns import SCHEMA_VERSION
from lab.measure.measurement import Cell, Measurement
from lab.results.csv_table import CsvTable
from lab.results.schema import complaints, table_schema
from lab.results.sidecar import Provenance, Sidecar, write_whole

__all__ = ["Results", "check", "read_measurements", "require_resumable"]


class Results:
    """The result of one sweep, open for appending; a context manager. One writer at a time.

    An existing file of that name is resumed if its parameters are the same, else SweepMismatch is raised. One
    that lacks columns keeps its rows and gets the newest header, one with other line ends the lab's; a last
    row without a line end is set aside in a file beside. A crash leaves the old file or the new one.
    """

    def __init__(
        self, path: Path, parameters: Mapping[str, Any], provenance: Provenance | None = None
    ) -> None:
        self.path = path
        if not path.exists():
            _resumed(path, parameters)  # before there is a file: another's JSON may have the name
        with _room(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = _open_locked(path)
        try:
            self.sidecar = _resumed_or_new(path, parameters, provenance or Provenance.gather())
            table = CsvTable.read(path, torn_allowed=True)
            self.done = {(m.what.cell_id, m.what.trial) for m in _measurements(table)}
            with _room(path):
                self.set_aside = _set_aside(table)
                """What was done with a torn row, as a sentence; empty where there was none."""
                self._header = self._renewed_header(table)
                self.sidecar.write(path)
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

        Raises SchemaMismatch for a cell with a line break, ResultsError where the disk is full or the trial
        is there already.
        """
        trial = (measurement.what.cell_id, measurement.what.trial)
        if trial in self.done:
            raise ResultsError(f"{self.path} has trial {trial[1]} of cell {trial[0]} already: number it anew")
        cells = measurement.row()
        with _room(self.path):
            if histograms:
                self.sidecar.histograms[f"{trial[0]}/{trial[1]}"] = dict(histograms)
                self.sidecar.write(self.path)
            self._write_line([_text(cells.get(name)) for name in self._header])
        self.done.add(trial)

    def close(self) -> None:
        """Close the file. What was appended is on the disk already."""
        os.close(self._descriptor)

    def _renewed_header(self, table: CsvTable) -> Sequence[str]:
        """Give the file the newest header and the lab's line ends, and return that header."""
        current = table.current()
        if current.header != table.header or table.foreign or table.torn:
            lines = [current.header, *(cells for _, cells in current.rows)]
            write_whole(self.path, "".join(map(_line, lines)).encode())
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
            raise OSError(errno.ENOSPC, f"it took {written} of {len(line)} bytes of a row")


@contextmanager
def _room(path: Path) -> Iterator[None]:
    """Say in one line what keeps a result from being written. What it has, it keeps."""
    try:
        yield
    except OSError as error:
        remedy = "make room on the disk" if error.errno in _NO_ROOM else "make it writable, or choose another"
        raise ResultsError(
            f"{path} cannot be written ({error.strerror}): {remedy}, and run the same again, which goes on "
            "with the trials it has"
        ) from None


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read_measurements(path: Path | str) -> list[Measurement]:
    """Return the rows as measurements.

    Raises ResultsError for a missing file, SchemaMismatch for what is no result, or for a cell that does not
    fit its column, naming the line and the column.
    """
    return _measurements(CsvTable.read(Path(path)))


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
    if path.exists():
        _measurements(CsvTable.read(path, torn_allowed=True))


def _measurements(table: CsvTable) -> list[Measurement]:
    return [_measurement(table.path, number, row) for number, row in table.cells()]


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
    try:
        sidecar = Sidecar.read(path)
    except ResultsError:
        if begun:
            raise
        raise ResultsError(
            f"{Sidecar.path_for(path)} is there and belongs to no sweep: choose another name"
        ) from None
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


def _set_aside(table: CsvTable) -> str:
    """Keep a torn row in a file beside the CSV, and say so; empty where there is none."""
    if not table.torn:
        return ""
    aside = table.path.with_suffix(".torn")
    with aside.open("a", encoding="utf-8") as file:
        file.write(table.torn + "\n")
    return (
        f"{table.path}: the last row has no line end, so it may be torn: it was set aside in {aside.name}, "
        "and its trial is still to be measured"
    )


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
