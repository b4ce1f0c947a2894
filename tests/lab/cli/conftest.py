"""The command line as a user meets it, with a state directory and ports of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lab.cli import main
from lab.cli.state import everything_up
from lab.placement.ports import reserved_offset
from lab.topology import Topology


@dataclass(frozen=True)
class Done:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str


Lab = Callable[..., Done]


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands leave for other shells stays in this test."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def offset() -> Iterator[int]:
    """An offset at which the documented topologies find their ports free, and nobody else looks."""
    with reserved_offset(Topology.parallel()) as reserved:
        yield reserved


@pytest.fixture
def lab(
    own_state: None,  # noqa: ARG001 (to be taken down before it)
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Lab]:
    """Runs `lab …`, in this process for speed. What it left up is taken down after the test.

    Processes that it detached are this one's children, which nobody else would ever wait for.
    """
    before = set(psutil.Process().children())

    def run(*arguments: str | int) -> Done:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["lab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    yield run
    for upkeep in everything_up():
        assert run("down", "--offset", upkeep.options.offset).returncode == 0
    psutil.wait_procs(set(psutil.Process().children()) - before)
