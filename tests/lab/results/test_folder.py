"""A result is found by its name or its path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.errors import ResultsError
from lab.sweep import baseline, newest, result_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three results, the first of them written last."""
    for age, name in enumerate(["a-sweep", "baseline-2025", "baseline-2026"]):
        path = tmp_path / f"{name}.csv"
        path.write_text("header\nrow\n")
        os.utime(path, (1e9 - age, 1e9 - age))
    return tmp_path


def test_a_result_is_found_by_name_by_file_and_by_path(folder: Path) -> None:
    wanted = folder / "a-sweep.csv"
    for name in ("a-sweep", "a-sweep.csv", str(wanted)):
        assert result_path(name, folder) == wanted


def test_a_result_that_is_not_there_is_refused_with_those_that_are(folder: Path) -> None:
    with pytest.raises(ResultsError, match="a-sweep, baseline-2025, baseline-2026"):
        result_path("b-sweep", folder)


def test_the_latest_baseline_is_the_one_to_hold_others_against(folder: Path) -> None:
    assert baseline(folder).stem == "baseline-2026"


def test_the_newest_is_the_one_written_last_but_for_the_one_left_out(folder: Path) -> None:
    assert newest(folder).stem == "a-sweep"
    assert newest(folder, but=folder / "a-sweep.csv").stem == "baseline-2025"


def test_a_result_without_rows_is_not_the_newest(folder: Path) -> None:
    (folder / "begun.csv").write_text("header\n")
    assert newest(folder).stem == "a-sweep"


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="nox -s sweep"):
        newest(tmp_path)
    with pytest.raises(ResultsError, match="-p name baseline-"):
        baseline(tmp_path)
