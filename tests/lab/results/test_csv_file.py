"""A CSV takes rows one by one, and whatever was once a result is read for ever."""

from __future__ import annotations

import csv
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.errors import ResultsError, SchemaMismatch, SweepMismatch
from lab.measure.measurement import Measurement
from lab.results import Results, check, read, read_measurements
from lab.results.sidecar import Provenance, Sidecar
from tests.support.measurements import make_measurement

PARAMETERS = {"concurrency": [1, 3], "seed": 0}
HERE = Provenance.gather()


def test_rows_come_back_as_they_were_appended(tmp_path: Path) -> None:
    appended = [make_measurement(trial=n) for n in (1, 2, 3)]
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        for measurement in appended:
            results.append(measurement)
    assert read_measurements(tmp_path / "mine.csv") == appended
    assert check(tmp_path / "mine.csv") == 3


def test_a_row_is_on_the_disk_as_soon_as_it_is_appended(tmp_path: Path) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        results.append(make_measurement())
        assert len(read_measurements(tmp_path / "mine.csv")) == 1


def test_a_sweep_of_the_same_parameters_is_resumed(tmp_path: Path) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        assert results.done == set()
        results.append(make_measurement(trial=1))
    with Results(tmp_path / "mine.csv", dict(PARAMETERS)) as results:
        assert results.done == {("sequential-c1", 1)}
        results.append(make_measurement(trial=2))
    assert check(tmp_path / "mine.csv") == 2


def test_a_sweep_of_other_parameters_is_not_touched(tmp_path: Path) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS):
        pass
    before = (tmp_path / "mine.csv").read_bytes(), (tmp_path / "mine.json").read_bytes()
    with pytest.raises(SweepMismatch, match=r"seed was 0 and is 1"):
        Results(tmp_path / "mine.csv", PARAMETERS | {"seed": 1})
    assert before == ((tmp_path / "mine.csv").read_bytes(), (tmp_path / "mine.json").read_bytes())


def test_two_writers_cannot_share_a_file(tmp_path: Path) -> None:
    with (
        Results(tmp_path / "mine.csv", PARAMETERS),
        pytest.raises(ResultsError, match="another sweep"),
    ):
        Results(tmp_path / "mine.csv", PARAMETERS)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(torn=st.integers(0, 10_000))
def test_wherever_a_write_was_cut_whole_rows_are_kept_and_the_sweep_goes_on(
    torn: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("torn") / "mine.csv"
    with Results(path, PARAMETERS, HERE) as results:
        results.append(make_measurement(trial=1))
        results.append(make_measurement(trial=2))
    content = path.read_bytes()
    kept = content[: torn % len(content)]
    path.write_bytes(kept)
    with Results(path, PARAMETERS, HERE) as results:
        assert len(results.done) == max(0, kept.count(b"\n") - 1)
        assert bool(results.set_aside) == (kept != b"" and not kept.endswith(b"\n"))
        results.append(make_measurement(trial=3))
    assert check(path) == len(read_measurements(path)) == max(0, kept.count(b"\n") - 1) + 1


def test_a_killed_writer_leaves_only_whole_rows(tmp_path: Path) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        results.append(make_measurement())
    script = (
        "from lab.results.csv_file import Results, read_measurements\n"
        "from pathlib import Path\n"
        f"path = Path({str(tmp_path / 'mine.csv')!r})\n"
        "from dataclasses import replace\n"
        "from itertools import count\n"
        "row = read_measurements(path)[0]\n"
        f"results = Results(path, {PARAMETERS!r})\n"
        "print('writing', flush=True)\n"
        "for number in count(2): results.append(replace(row, what=replace(row.what, trial=number)))\n"
    )
    with subprocess.Popen(
        (sys.executable, "-c", script), stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        while (tmp_path / "mine.csv").stat().st_size < 20_000:
            assert writer.poll() is None
        os.kill(writer.pid, signal.SIGKILL)
    content = (tmp_path / "mine.csv").read_bytes()
    assert content.endswith(b"\n")
    assert check(tmp_path / "mine.csv") > 10


def test_a_line_break_in_a_cell_is_refused(tmp_path: Path) -> None:
    with (
        Results(tmp_path / "mine.csv", PARAMETERS) as results,
        pytest.raises(SchemaMismatch, match="line break"),
    ):
        results.append(make_measurement("two\nlines"))
    assert check(tmp_path / "mine.csv") == 0


def test_a_histogram_is_kept_beside_its_row(tmp_path: Path) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        results.append(make_measurement(), {"response_time": "HISTFAAA"})
    sidecar = Sidecar.read(tmp_path / "mine.csv")
    assert sidecar.histograms == {"sequential-c1/1": {"response_time": "HISTFAAA"}}
    assert sidecar.parameters == PARAMETERS


def test_a_session_under_other_conditions_is_added_to_the_provenance(tmp_path: Path) -> None:
    there = replace(HERE, commit="0" * 40)
    for provenance in (HERE, HERE, there):
        with Results(tmp_path / "mine.csv", PARAMETERS, provenance):
            pass
    assert Sidecar.read(tmp_path / "mine.csv").provenance == [HERE, there]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sweep_id": "mine"}'])
def test_a_broken_sidecar_is_named(tmp_path: Path, content: str) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS):
        pass
    (tmp_path / "mine.json").write_text(content)
    with pytest.raises(ResultsError, match=r"mine\.json"):
        Results(tmp_path / "mine.csv", PARAMETERS)


@pytest.mark.parametrize("of", [check, read, read_measurements])
def test_a_csv_of_something_else_is_refused_in_a_few_words(tmp_path: Path, of: Callable[[Path], Any]) -> None:
    path = tmp_path / "other.csv"
    path.write_text("# A stranger\n")
    with pytest.raises(SchemaMismatch, match="no result of this lab") as refused:
        of(path)
    assert "missing sweep_id, cell_id, trial and" in str(refused.value)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("of", [check, read, read_measurements])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, of: Callable[[Path], Any]) -> None:
    with pytest.raises(ResultsError, match=r"there is no file .*none\.csv"):
        of(tmp_path / "none.csv")
    with pytest.raises(ResultsError, match=r"there is no file .*none\.csv"):
        Sidecar.read(tmp_path / "none.csv")


@pytest.mark.parametrize("of", [read, read_measurements])
@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        (",true,", ",perhaps,", "line 3: column valid holds 'perhaps'"),
        (",true,", ",,", "line 3: column valid is blank"),
        (",true,", ",true,true,", "cells for "),
        ("sequential-c1,2,", "sequential-c1,two,", "line 3: column trial holds 'two'"),
    ],
)
def test_a_row_that_breaks_the_contract_is_refused_with_its_line(
    tmp_path: Path,
    of: Callable[[Path], Any],
    was: str,
    becomes: str,
    said: str,
) -> None:
    path = tmp_path / "mine.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement(trial=1))
        results.append(make_measurement(trial=2))
    head, first, second = path.read_text().splitlines(keepends=True)
    path.write_text(head + first + second.replace(was, becomes))
    with pytest.raises(SchemaMismatch) as refused:
        of(path)
    assert said in str(refused.value)


def edited(path: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> list[dict[str, str]]:
    """Write the rows again, each changed, and return them."""
    with path.open(newline="") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def without(column: str) -> Callable[[dict[str, str]], dict[str, str]]:
    return lambda row: {name: cell for name, cell in row.items() if name != column}


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement())
    path.write_text(path.read_text().replace("policy,balancer", "policy,policy"))
    with pytest.raises(SchemaMismatch, match=r"line 1: column policy occurs twice"):
        check(path)


OPTIONAL = [column.name for column in Measurement.columns() if not column.required]


@pytest.mark.parametrize("column", OPTIONAL)
def test_a_result_without_an_optional_column_is_read_with_that_column_blank(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / "old.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement())
    edited(path, without(column))
    assert check(path) == 1
    (measured,) = read_measurements(path)
    assert measured.row() == make_measurement().row() | {column: None}
    frame = read(path)
    assert list(frame.columns) == [c.name for c in Measurement.columns()]
    assert frame[column].isna().all()


@pytest.mark.parametrize("column", [c.name for c in Measurement.columns() if c.required])
def test_a_result_without_a_required_column_is_none(tmp_path: Path, column: str) -> None:
    path = tmp_path / "old.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement())
    edited(path, without(column))
    for of in (check, read, read_measurements):
        with pytest.raises(SchemaMismatch, match=f"missing {column}"):
            of(path)


def test_an_unknown_column_is_kept_as_text(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement())
    edited(path, lambda row: {"mood": "007"} | row)
    assert check(path) == 1
    assert read_measurements(path) == [make_measurement()]
    assert read(path)["mood"].tolist() == ["007"]


def test_a_resumed_older_file_keeps_its_rows_and_unknown_columns_under_the_new_header(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement(trial=1))
    (old,) = edited(path, lambda row: {"mood": "fair"} | without("policy")(row))
    with Results(path, PARAMETERS) as results:
        assert results.done == {("sequential-c1", 1)}
        results.append(make_measurement(trial=2))
    with path.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == [*(column.name for column in Measurement.columns()), "mood"]
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert rows[0] == old | {"policy": ""}
    assert (rows[1]["trial"], rows[1]["mood"]) == ("2", "")


def test_a_resumed_file_with_an_unknown_column_and_all_others_keeps_its_header(tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement(trial=1))
    edited(path, lambda row: {"mood": "fair"} | row)
    before = path.read_text()
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement(trial=2))
    assert path.read_text().startswith(before)
    assert read_measurements(path) == [make_measurement(trial=1), make_measurement(trial=2)]


def test_a_crash_while_an_older_file_gets_its_header_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement(trial=1))
    edited(path, without("policy"))
    before = path.read_bytes()

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", crash)
        with pytest.raises(KeyboardInterrupt):
            Results(path, PARAMETERS)
    assert path.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["old.csv", "old.json"]
    with Results(path, PARAMETERS) as results:
        assert results.done == {("sequential-c1", 1)}


def test_a_file_that_got_a_new_header_is_still_locked(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement(trial=1))
    edited(path, without("policy"))
    with Results(path, PARAMETERS), pytest.raises(ResultsError, match="another sweep"):
        Results(path, PARAMETERS)


def test_a_writer_that_has_to_wait_has_not_read_what_the_other_is_about_to_change(tmp_path: Path) -> None:
    """The lock comes first: even the sidecar of a sweep with other parameters is not looked at."""
    path = tmp_path / "mine.csv"
    with Results(path, PARAMETERS), pytest.raises(ResultsError, match="another sweep"):
        Results(path, {"other": 1})


@contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Have the system refuse to write files beyond so many bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("histograms", [{}, {"response_time": {"counts": list(range(999))}}])
def test_on_a_full_disk_the_message_promises_what_holds(tmp_path: Path, histograms: dict[str, Any]) -> None:
    path = tmp_path / "full.csv"
    padding = {"padding": "x" * 9000}  # so that the JSON is the longer one
    with Results(path, padding, HERE) as results:
        results.append(make_measurement(trial=1))
        before = path.read_bytes()
        room = path.with_suffix(".json").stat().st_size if histograms else len(before) + 7
        with (
            no_file_above(room),
            pytest.raises(ResultsError, match="make room on the disk, and run the same"),
        ):
            results.append(make_measurement(trial=2), histograms)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []
    with Results(path, padding, HERE) as results:
        results.append(make_measurement(trial=2), histograms)
    assert [row.what.trial for row in read_measurements(path)] == [1, 2]


def test_a_result_that_may_not_be_begun_says_so_in_one_line(tmp_path: Path) -> None:
    with no_file_above(10), pytest.raises(ResultsError, match=r"cannot be written .*make room on the disk"):
        Results(tmp_path / "full.csv", {"a": "b" * 99}, HERE)
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="cannot be written"):
        Results(tmp_path / "file" / "mine.csv", {}, HERE)


def test_the_name_of_another_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text("{}")
    with pytest.raises(ResultsError, match=r"schema.json is there and belongs to no sweep: choose another"):
        Results(tmp_path / "schema.csv", {}, HERE)
    assert [path.name for path in tmp_path.iterdir()] == ["schema.json"]
