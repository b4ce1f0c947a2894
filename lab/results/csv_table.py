"""The one reader of results as text: every command refuses the same, naming line and remedy."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import ResultsError, SchemaMismatch
from lab.measure.measurement import Measurement
from lab.results.schema import few

__all__ = ["CsvTable"]

_NO_TEXT = {
    b"\x1f\x8b": "is compressed: unpack it with gunzip",
    b"PK\x03\x04": "is an archive or a workbook: save the table as CSV",
    b"\xff\xfe": "is UTF-16: save it as UTF-8",
    b"\xfe\xff": "is UTF-16: save it as UTF-8",
}
"""What is no CSV in UTF-8, by its first bytes."""
_CONFLICT = re.compile(r"(<{7}|\|{7}|={7}|>{7})(\s|$)")
_IDENTITY = ("sweep_id", "cell_id", "trial")
"""The columns that no two rows share."""


@dataclass(frozen=True, slots=True)
class CsvTable:
    """The text of a result: the names of its columns, and its whole rows, each with its line."""

    path: Path
    header: Sequence[str]
    rows: Sequence[tuple[int, Sequence[str]]]
    torn: str = ""
    """A last row without a line end, which only a writer that goes on may find."""
    foreign: bool = False
    """Whether the file has a byte order mark or other line ends than the lab writes."""

    @classmethod
    def read(cls, path: Path, *, torn_allowed: bool = False) -> CsvTable:
        """Read the CSV at `path`, with a byte order mark or without, lines ending in LF, CRLF or CR.

        Raises ResultsError for a file that is not there or is no text, SchemaMismatch for one that is no
        result, naming the line and the remedy: required columns are missing, a column or a row occurs twice,
        a conflict was left, a row has another number of cells or, unless `torn_allowed`, no line end.
        """
        raw = _decoded(path)
        text = raw.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        *lines, torn = text.split("\n")
        _refuse_conflicts(path, [*lines, torn])
        header = _cells(path, 1, lines[0] if lines else torn)
        if lines or not torn_allowed:
            _refuse_header(path, header)
        if torn and not torn_allowed:
            raise SchemaMismatch(
                f"{path}, line {len(lines) + 1}: the row has no line end, so it may be torn: run its sweep "
                "again under the same name, which measures that trial anew, or remove the line"
            )
        rows = [(number, _cells(path, number, line)) for number, line in enumerate(lines, 1) if line]
        table = cls(path, header if lines else [], rows[1:], torn, foreign=text != raw)
        table._refuse_rows()
        return table

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

    def _refuse_rows(self) -> None:
        first: dict[tuple[str | int, ...], int] = {}
        for number, cells in self.rows:
            where = f"{self.path}, line {number}"
            if cells == self.header:
                raise SchemaMismatch(f"{where}: the header again, of a second file: remove the line")
            if len(cells) != len(self.header):
                raise SchemaMismatch(
                    f"{where}: {len(cells)} cells for {len(self.header)} columns: mend or remove it"
                )
            identity = tuple(_meant(cells[self.header.index(name)]) for name in _IDENTITY)
            before = first.setdefault(identity, number)
            if before != number:
                raise SchemaMismatch(
                    f"{where}: trial {identity[2]} of cell {identity[1]} stands in line {before} already, "
                    "as after a merge that kept both sides: remove one of the two"
                )


def _meant(cell: str) -> str | int:
    """Return what a cell of an identity stands for: trial 1 is also ` 1` and `01`, as programs save it."""
    try:
        return int(cell)
    except ValueError:
        return cell.strip()


def _decoded(path: Path) -> str:
    try:
        if path.is_char_device():  # /dev/zero never ends
            raise ResultsError(f"{path} is a device: name a result")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ResultsError(f"there is no file {path}: check the path") from None
    except IsADirectoryError:
        raise ResultsError(f"{path} is a directory: name a CSV in it") from None
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror}): name a result") from None
    for start, what in _NO_TEXT.items():
        if content.startswith(start):
            raise ResultsError(f"{path} {what}")
    if b"\0" in content:
        line = _line_at(content, content.index(b"\0"))
        raise ResultsError(
            f"{path}, line {line}: a NUL byte, as a crash or a full disk leaves them: remove the line"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_at(content, error.start)
        raise ResultsError(
            f"{path}, line {line}: no text in UTF-8, so no CSV that can be read: save it as UTF-8"
        ) from None


def _line_at(content: bytes, place: int) -> int:
    return len(re.findall(rb"\r\n|\r|\n", content[:place])) + 1


def _refuse_conflicts(path: Path, lines: Sequence[str]) -> None:
    for number, line in enumerate(lines, 1):
        if _CONFLICT.match(line):
            raise SchemaMismatch(
                f"{path}, line {number}: a conflict that git left ({line[:7]}): keep the rows of one side, "
                "and remove the marks"
            )


def _refuse_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise SchemaMismatch(f"{path} has an empty first line, so it is no result of this lab: name one")
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise SchemaMismatch(
                f"{path}, line 1: cells are parted by {name}: save it with commas, and a point in numbers"
            )
    missing = [c.name for c in Measurement.columns() if c.required and c.name not in header]
    if missing:
        raise SchemaMismatch(
            f"{path} is no result of this lab: its first line lacks columns that every result has, "
            f"missing {few(missing)}"
        )
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise SchemaMismatch(f"{path}, line 1: column {few(twice)} occurs twice: remove one of the two")


def _cells(path: Path, number: int, line: str) -> list[str]:
    """Return the cells of a line; a quote that it does not close would swallow the lines that follow."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise SchemaMismatch(
            f"{path}, line {number}: a cell that does not end in its line ({error}): mend its quotes, or "
            "remove the line break in it"
        ) from None
