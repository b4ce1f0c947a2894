"""The command line with a state directory and ports of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.placement.ports import reserved_offset
from lab.topology import Topology
from tests.support.command_line import CommandLine


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what commands leave for other shells inside the test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def offset() -> Iterator[int]:
    """Reserve an offset at which the documented topologies find their ports free."""
    with reserved_offset(Topology.parallel()) as reserved:
        yield reserved


@pytest.fixture
def lab(
    own_state: None,  # noqa: ARG001 (to be taken down before it)
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[CommandLine]:
    """Run `lab …` in this process, and take down after the test what it left up."""
    command_line = CommandLine(monkeypatch, capsys)
    yield command_line
    command_line.close()


@pytest.fixture
def hiding_folder(tmp_path: Path) -> Path:
    """Make a folder whose own `services` and `lab` hide the lab's from a program that looks there first."""
    folder = tmp_path / "of_the_user"
    (folder / "services").mkdir(parents=True)
    for file in ("services/__init__.py", "lab.py"):
        (folder / file).write_text("raise SystemExit(f'{__file__} was imported')\n")
    return folder
