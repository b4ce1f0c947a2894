"""A sidecar keeps where a result comes from."""

from __future__ import annotations

import json
import os
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from lab.measure.columns import SCHEMA_HISTORY, SCHEMA_VERSION
from lab.results import Provenance, Results, Sidecar
from lab.results.sidecar import why_no_commit


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


def test_git_writes_nothing_while_it_tells_of_the_tree(repository: Path) -> None:
    """On a nearly full disk it would leave the lock of its index behind."""
    os.utime(repository / "lab" / "code.py", (1, 1))  # which git would note in the index
    index = repository / ".git" / "index"
    before = index.read_bytes(), index.stat().st_ino
    assert Provenance.gather(repository / "lab").dirty is False
    assert (index.read_bytes(), index.stat().st_ino) == before


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


def test_the_commit_of_another_project_in_whose_environment_the_lab_is_installed_is_not_taken(
    repository: Path,
) -> None:
    installed = repository / ".venv" / "site-packages" / "lab"
    installed.mkdir(parents=True)
    provenance = Provenance.gather(installed)
    assert (provenance.commit, provenance.dirty) == (None, None)


def test_the_repository_that_the_environment_names_is_not_asked(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    commit = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / "index"))
    provenance = Provenance.gather(repository / "lab")
    assert (provenance.commit, provenance.dirty) == (commit, False)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a tree to another user")
def test_that_a_tree_is_another_users_is_said_with_the_remedy(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(repository))  # where no directory is called safe
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    assert why_no_commit(repository / "lab") == ""
    for path in (repository, repository / ".git"):
        os.chown(path, 65534, 65534)
    assert Provenance.gather(repository / "lab").commit is None
    assert f"safe.directory {repository}" in why_no_commit(repository / "lab")


def notebook(source: str, printed: str = "") -> str:
    outputs = [{"name": "stdout", "output_type": "stream", "text": [printed]}] if printed else []
    cell = {
        "cell_type": "code",
        "metadata": {},
        "source": [source],
        "outputs": outputs,
        "execution_count": None,
    }
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def test_what_notebooks_printed_does_not_make_the_tree_dirty_and_what_they_say_does(repository: Path) -> None:
    path = repository / "a name with spaces é.ipynb"
    path.write_text(notebook("trials = 1"))
    assert Provenance.gather(repository / "lab").dirty is True
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "a notebook")
    path.write_text(notebook("trials = 1", printed="1"))
    assert Provenance.gather(repository / "lab").dirty is False
    path.write_text(notebook("trials = 2", printed="1"))
    assert Provenance.gather(repository / "lab").dirty is True
    path.unlink()
    assert Provenance.gather(repository / "lab").dirty is True
