"""What is not as the lab wrote it is refused by every reader, with its line and what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ResultsError
from lab.measure.measurement import Measurement
from lab.results import Results, Sidecar, check, read, read_measurements, require_resumable

PARAMETERS = {"concurrency": 1}


def resume(path: Path) -> int:
    with Results(path, PARAMETERS) as results:
        return len(results.done)


def may_be_resumed(path: Path) -> None:
    require_resumable(path, PARAMETERS)


READERS = [check, read, read_measurements]
ALL = [*READERS, resume, may_be_resumed]


def measured(trial: int) -> Measurement:
    """A valid trial whose last cell is 160."""
    return Measurement.from_row(
        {
            "sweep_id": "mine",
            "cell_id": "c1",
            "trial": f"{trial}",
            "started_at": "2026-01-01T00:00:00+00:00",
            "topology": "sequential",
            "load_model": "closed",
            "concurrency": "1",
            "duration_s": "4",
            "requests": "9",
            "succeeded": "9",
            "failed": "0",
            "dropped": "0",
            "valid": "true",
            "predicted_response_time_ms": "160",
        }
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A result of three trials, in lines 2 to 4."""
    path = tmp_path / "mine.csv"
    with Results(path, PARAMETERS) as results:
        for trial in (1, 2, 3):
            results.append(measured(trial))
    return path


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def again(text: str) -> str:
    """The text and its second line once more."""
    return text + text.splitlines(keepends=True)[1]


def replaced(was: str, becomes: str) -> Callable[[str], bytes]:
    return lambda text: text.replace(was, becomes, 1).encode()


def with_line(place: int, line: str) -> Callable[[str], bytes]:
    def change(text: str) -> bytes:
        lines = text.splitlines(keepends=True)
        return "".join([*lines[:place], line, *lines[place:]]).encode()

    return change


def conflict(text: str) -> bytes:
    head, one, two, three = text.splitlines(keepends=True)
    marked = [head, one, "<<<<<<< ours\n", two, "=======\n", three, ">>>>>>> theirs\n"]
    return "".join(marked).encode()


SECOND = "mine,c1,2,"
"""How line 3 begins."""
SPOILT: Mapping[str, tuple[Callable[[str], bytes], str]] = {
    "a row twice": (lambda text: again(text).encode(), "line 5: trial 1 of cell c1 stands in line 2"),
    "both sides of a merge": (lambda text: (text + text.partition("\n")[2]).encode(), "line 5: trial 1"),
    "a trial twice": (lambda text: again(text)[:-4].encode() + b"80\n", "line 5: trial 1 of cell c1"),
    "a trial twice, once as 01": (replaced(SECOND, "mine,c1,01,"), "line 3: trial 1 of cell c1 stands in"),
    "a trial twice, once with a blank": (replaced(SECOND, "mine,c1, 1,"), "line 3: trial 1 of cell c1"),
    "a conflict": (conflict, r"line 3: a conflict that git left \(<<<<<<<\)"),
    "a half settled conflict": (with_line(2, "=======\n"), "line 3: a conflict"),
    "a conflict in the header": (with_line(0, "<<<<<<< HEAD\n"), "line 1: a conflict"),
    "one cell too many": (replaced(SECOND, SECOND + ","), r"line 3: \d+ cells for \d+ columns"),
    "one cell too few": (replaced(SECOND, "mine,c1,"), r"line 3: \d+ cells for \d+ columns"),
    "a blank required cell": (replaced(SECOND, "mine,,2,"), "line 3.*cell_id"),
    "a header twice": (lambda text: (text + text).encode(), "line 5: the header again"),
    "semicolons": (lambda text: text.replace(",", ";").encode(), "line 1: cells are parted by semicolons"),
    "tabs": (lambda text: text.replace(",", "\t").encode(), "line 1: cells are parted by tabs"),
    "NUL bytes": (lambda text: text.encode() + b"\0" * 512, "line 5: a NUL byte"),
    "UTF-16": (lambda text: text.encode("utf-16"), "is UTF-16: save it as UTF-8"),
    "Latin-1": (lambda text: text.replace("sequential", "é").encode("latin-1"), "line 2: no text in UTF-8"),
    "a gz file": (lambda text: gzip.compress(text.encode()), "is compressed: unpack it"),
    "a workbook": (lambda _: b"PK\x03\x04rest", "is an archive or a workbook"),
    "a line break in quotes": (replaced(SECOND, '"mi\nne",c1,2,'), "line 3: .*line break"),
    "a quote left open": (replaced(SECOND, '"mine,c1,2,'), "line 3: .*quotes"),
}


@pytest.mark.parametrize("of", ALL)
@pytest.mark.parametrize(
    ("spoil", "said"), [pytest.param(*spoilt, id=name) for name, spoilt in SPOILT.items()]
)
def test_what_was_spoilt_is_refused_with_its_line_and_nothing_is_written(
    path: Path, of: Callable[[Path], Any], spoil: Callable[[str], bytes], said: str
) -> None:
    path.write_bytes(spoil(path.read_text()))
    before = path.read_bytes(), Sidecar.path_for(path).read_bytes()
    with pytest.raises(ResultsError, match=said) as refused:
        of(path)
    assert "\n" not in str(refused.value)
    assert before == (path.read_bytes(), Sidecar.path_for(path).read_bytes())
    assert sorted(each.name for each in path.parent.iterdir()) == ["mine.csv", "mine.json"]


@pytest.mark.parametrize("of", READERS)
def test_a_last_row_without_a_line_end_may_be_torn_and_is_refused(
    path: Path, of: Callable[[Path], Any]
) -> None:
    path.write_text(path.read_text()[: -len("60\n")])  # 1 for 160
    with pytest.raises(ResultsError, match=r"line 4: the row has no line end.*same name"):
        of(path)


@pytest.mark.parametrize("cut", [len("60\n"), len("\n")])
def test_a_resumed_sweep_sets_a_torn_row_aside_and_lacks_that_trial(path: Path, cut: int) -> None:
    whole = path.read_text()
    path.write_text(whole[:-cut])
    may_be_resumed(path)
    with Results(path, PARAMETERS) as results:
        assert results.done == {("c1", 1), ("c1", 2)}
        assert "set aside in mine.torn" in results.set_aside
        assert path.with_suffix(".torn").read_text() == whole.splitlines()[3][: 1 - cut or None] + "\n"
        results.append(measured(3))
    assert path.read_text() == whole
    with Results(path, PARAMETERS) as results:
        assert results.set_aside == ""


@pytest.mark.parametrize("of", READERS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_and_other_line_ends_are_read(
    path: Path, of: Callable[[Path], Any], end: str, mark: bytes
) -> None:
    plain = of(path)
    path.write_bytes(mark + path.read_text().replace("\n", end).encode())
    if of is read:
        assert plain.equals(of(path))
    else:
        assert of(path) == plain


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_a_resumed_file_gets_the_labs_own_line_ends(path: Path, end: str) -> None:
    whole = path.read_text()
    path.write_bytes(b"\xef\xbb\xbf" + whole.replace("\n", end).encode())
    assert resume(path) == 3
    assert path.read_bytes() == whole.encode()


@pytest.mark.parametrize("of", READERS)
def test_a_header_alone_has_no_rows(path: Path, of: Callable[[Path], Any]) -> None:
    path.write_text(lines_of(path)[0])
    rows = of(path)
    assert (rows if of is check else len(rows)) == 0


@pytest.mark.parametrize("of", READERS)
def test_an_empty_file_is_no_result(path: Path, of: Callable[[Path], Any]) -> None:
    path.write_text("")
    with pytest.raises(ResultsError, match="no result of this lab"):
        of(path)


@pytest.mark.parametrize("of", READERS)
def test_a_directory_is_named_as_one(tmp_path: Path, of: Callable[[Path], Any]) -> None:
    with pytest.raises(ResultsError, match="is a directory"):
        of(tmp_path)


def test_a_trial_that_is_there_is_not_appended_again(path: Path) -> None:
    with (
        Results(path, PARAMETERS) as results,
        pytest.raises(ResultsError, match="trial 2 of cell c1 already"),
    ):
        results.append(measured(2))
    assert check(path) == 3


@pytest.mark.parametrize("of", READERS)
@pytest.mark.parametrize("cell", ["inf", "nan", "-inf"])
def test_a_figure_that_is_no_finite_number_is_refused(
    path: Path, of: Callable[[Path], Any], cell: str
) -> None:
    path.write_text(path.read_text().replace(",160\n", f",{cell}\n"))
    with pytest.raises(ResultsError, match=r"line 2.*predicted_response_time_ms"):
        of(path)
