"""A sidecar keeps where a result comes from."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from lab.measure.columns import SCHEMA_HISTORY, SCHEMA_VERSION
from lab.results import Provenance, Results, Sidecar


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ("git", "-C", str(root), *identity, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "lab").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "lab" / "code.py").write_text("x = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "begin")
    return tmp_path


def test_the_commit_is_that_of_the_working_tree(repository: Path) -> None:
    provenance = Provenance.gather(repository / "lab")
    assert (provenance.commit, provenance.dirty) == (git(repository, "rev-parse", "HEAD"), False)


def test_a_changed_file_makes_the_tree_dirty(repository: Path) -> None:
    (repository / "lab" / "code.py").write_text("x = 2\n")
    assert Provenance.gather(repository / "lab").dirty is True


def test_results_do_not_make_the_tree_dirty(repository: Path) -> None:
    (repository / "results" / "mine.csv").write_text("a\n")
    assert Provenance.gather(repository / "lab").dirty is False


def test_outside_of_a_working_tree_there_is_no_commit(tmp_path: Path) -> None:
    provenance = Provenance.gather(tmp_path)
    assert (provenance.commit, provenance.dirty) == (None, None)


def test_a_sidecar_is_read_as_it_was_written(tmp_path: Path) -> None:
    sidecar = Sidecar(
        sweep_id="mine",
        schema_version=2,
        parameters={"seed": 0, "think_time_ms": [0.0]},
        provenance=[Provenance.gather()],
        histograms={"c/1": {"response_time": {"version": 1}}},
    )
    sidecar.write(tmp_path / "mine.csv")
    assert Sidecar.read(tmp_path / "mine.csv") == sidecar


def test_a_sidecar_that_names_no_version_is_version_1_and_a_new_one_names_the_newest(tmp_path: Path) -> None:
    with Results(tmp_path / "mine.csv", {}):
        pass
    path = tmp_path / "mine.json"
    data = json.loads(path.read_text())
    assert data.pop("schema_version") == SCHEMA_VERSION == max(SCHEMA_HISTORY)
    path.write_text(json.dumps(data | {"mood": "a field of a later version"}))
    assert Sidecar.read(tmp_path / "mine.csv").schema_version == 1


def test_a_provenance_names_the_versions_of_what_the_lab_depends_on() -> None:
    packages = Provenance.gather().packages
    assert packages["scipy"] == metadata.version("scipy")
    assert packages["httptools"] == metadata.version("httptools")
