from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.errors import ResultsError, SchemaMismatch, SweepMismatch
from lab.measure.measurement import Measurement
from lab.results.csv_file import Results, check, read, read_measurements
from lab.results.sidecar import Provenance, Sidecar

MeasurementFactory = Callable[..., Measurement]
PARAMETERS = {"concurrency": [1, 3], "seed": 0}
HERE = Provenance.gather()


def test_rows_come_back_as_they_were_appended(tmp_path: Path, make_measurement: MeasurementFactory) -> None:
    appended = [make_measurement(trial=n) for n in (1, 2, 3)]
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        for measurement in appended:
            results.append(measurement)
    assert read_measurements(tmp_path / "mine.csv") == appended
    assert check(tmp_path / "mine.csv") == 3


def test_a_row_is_on_the_disk_as_soon_as_it_is_appended(
    tmp_path: Path, make_measurement: MeasurementFactory
) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        results.append(make_measurement())
        assert len(read_measurements(tmp_path / "mine.csv")) == 1


def test_a_frame_is_typed_by_column(tmp_path: Path, make_measurement: MeasurementFactory) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        results.append(make_measurement())
        results.append(make_measurement(trial=2).invalidated(["not_steady"]))
    frame = read(tmp_path / "mine.csv")
    assert str(frame["started_at"].dtype).endswith("UTC]")
    assert [
        str(frame[c].dtype) for c in ("cell_id", "trial", "throughput_rps", "valid", "requested_rate")
    ] == [
        "string",
        "Int64",
        "float64",
        "boolean",
        "float64",
    ]
    assert frame["response_time_p50_ms"].isna().tolist() == [False, True]
    assert frame["valid"].tolist() == [True, False]


def test_a_sweep_of_the_same_parameters_is_resumed(
    tmp_path: Path, make_measurement: MeasurementFactory
) -> None:
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
    torn: int, tmp_path_factory: pytest.TempPathFactory, make_measurement: MeasurementFactory
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
        results.append(make_measurement(trial=3))
    assert check(path) == len(read_measurements(path)) == max(0, kept.count(b"\n") - 1) + 1


def test_a_killed_writer_leaves_only_whole_rows(tmp_path: Path, make_measurement: MeasurementFactory) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        results.append(make_measurement())
    script = (
        "from lab.results.csv_file import Results, read_measurements\n"
        "from pathlib import Path\n"
        f"path = Path({str(tmp_path / 'mine.csv')!r})\n"
        "row = read_measurements(path)[0]\n"
        f"results = Results(path, {PARAMETERS!r})\n"
        "print('writing', flush=True)\n"
        "while True: results.append(row)\n"
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


def test_a_line_break_in_a_cell_is_refused(tmp_path: Path, make_measurement: MeasurementFactory) -> None:
    with (
        Results(tmp_path / "mine.csv", PARAMETERS) as results,
        pytest.raises(SchemaMismatch, match="line break"),
    ):
        results.append(make_measurement("two\nlines"))
    assert check(tmp_path / "mine.csv") == 0


def test_a_histogram_is_kept_beside_its_row(tmp_path: Path, make_measurement: MeasurementFactory) -> None:
    with Results(tmp_path / "mine.csv", PARAMETERS) as results:
        results.append(make_measurement(), {"response_time": "HISTFAAA"})
    sidecar = Sidecar.read(tmp_path / "mine.csv")
    assert sidecar.histograms == {"sequential-c1/1": {"response_time": "HISTFAAA"}}
    assert sidecar.parameters == PARAMETERS


def test_a_session_under_other_conditions_is_added_to_the_provenance(tmp_path: Path) -> None:
    there = Provenance.from_json(HERE.to_json() | {"commit": "0" * 40})
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


def test_a_missing_result_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="there is no file"):
        read(tmp_path / "none.csv")


def test_a_csv_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SchemaMismatch, match="no result of this lab"):
        read(tmp_path / "other.csv")
    with pytest.raises(SchemaMismatch, match="breaks the contract"):
        check(tmp_path / "other.csv")


def test_a_cell_of_another_type_is_a_mismatch_of_the_schema(
    tmp_path: Path, make_measurement: MeasurementFactory
) -> None:
    path = tmp_path / "mine.csv"
    with Results(path, PARAMETERS) as results:
        results.append(make_measurement())
    path.write_text(path.read_text().replace("true", "perhaps"))
    with pytest.raises(SchemaMismatch, match="another type"):
        read(path)


def test_a_file_that_is_not_there_or_none_of_ours_is_named_in_a_few_words(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"there is no file .*none\.csv"):
        check(tmp_path / "none.csv")
    with pytest.raises(ResultsError, match=r"there is no file .*none\.csv"):
        Sidecar.read(tmp_path / "none.csv")
    (tmp_path / "README.md").write_text("# A stranger\n")
    for of in (check, read):
        with pytest.raises(SchemaMismatch, match="missing sweep_id, cell_id, trial and") as refused:
            of(tmp_path / "README.md")
        assert len(str(refused.value)) < 400


def test_a_writer_that_has_to_wait_has_not_read_what_the_other_is_about_to_change(tmp_path: Path) -> None:
    """The lock comes first: even the sidecar of a sweep with other parameters is not looked at."""
    path = tmp_path / "mine.csv"
    with Results(path, PARAMETERS), pytest.raises(ResultsError, match="another sweep"):
        Results(path, {"other": 1})
