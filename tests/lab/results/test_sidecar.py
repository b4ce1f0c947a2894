from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from lab.results.sidecar import Provenance


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


def test_a_changed_file_makes_it_dirty(repository: Path) -> None:
    (repository / "lab" / "code.py").write_text("x = 2\n")
    assert Provenance.gather(repository / "lab").dirty is True


def test_results_do_not_make_it_dirty(repository: Path) -> None:
    (repository / "results" / "mine.csv").write_text("a\n")
    assert Provenance.gather(repository / "lab").dirty is False


def test_outside_of_a_working_tree_there_is_no_commit(tmp_path: Path) -> None:
    provenance = Provenance.gather(tmp_path)
    assert (provenance.commit, provenance.dirty) == (None, None)


def test_it_passes_through_json_unchanged() -> None:
    provenance = Provenance.gather()
    assert Provenance.from_json(json.loads(json.dumps(provenance.to_json()))) == provenance


def test_it_names_the_versions_of_what_the_lab_depends_on() -> None:
    packages = Provenance.gather().packages
    assert packages["scipy"] == metadata.version("scipy")
    assert packages["httptools"] == metadata.version("httptools")
