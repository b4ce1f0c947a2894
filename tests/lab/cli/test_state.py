"""Every shell finds what is up, and nothing that died."""

from __future__ import annotations

import json
import os
import signal
import stat
from pathlib import Path

import platformdirs
import pytest

from lab.cli.state import Upkeep, everything_up, state_directory
from lab.cli.topology_options import TopologyOptions
from lab.errors import PlacementError
from lab.names import TopologyName
from tests.support.command_line import CommandLine, connects, wait_until


def test_a_state_directory_that_cannot_be_written_is_said_in_one_line(
    lab: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_RUNTIME_DIR", "/proc")
        done = lab("stats")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "set XDG_RUNTIME_DIR" in done.stderr


def test_with_two_topologies_up_the_one_meant_has_to_be_said(lab: CommandLine, offset: int) -> None:
    for there in (offset, offset + 100):
        assert lab("up", "sequential", "--detach", "--offset", there).returncode == 0
    assert f"--offset {offset + 100}" in lab("logs").stderr
    assert lab("logs", "--offset", offset).returncode == 0


def test_a_topology_whose_process_was_killed_is_found_no_more(
    lab: CommandLine, offset: int, tmp_path: Path
) -> None:
    lab("up", "sequential", "--detach", "--offset", offset)
    (state,) = tmp_path.glob("pipeline-lab/*.json")
    pid = json.loads(state.read_text())["pid"]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not connects(8051 + offset))
    assert "nothing is up" in lab("stats").stderr
    assert not state.exists()
    assert [path.suffix for path in tmp_path.glob("pipeline-lab/*")] == [".lock"]
    assert lab("up", "sequential", "--detach", "--offset", offset).returncode == 0


def test_what_is_up_is_read_as_it_was_written() -> None:
    upkeep = Upkeep.of_this_process(TopologyOptions(TopologyName.PARALLEL, work_ms=(1.0, 2.5, 3.0, 4.0)))
    upkeep.write()
    assert everything_up() == [upkeep]
    upkeep.remove()
    assert everything_up() == []


@pytest.mark.parametrize("text", ["", "{", "{}", '{"options": {"topology": "circle"}, "pid": 1}'])
def test_a_file_that_another_version_wrote_is_removed(text: str) -> None:
    left = state_directory() / "up-0.json"
    left.write_text(text)
    assert everything_up() == []
    assert not left.exists()


def test_without_a_runtime_directory_of_the_session_the_systems_own_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(platformdirs, "user_runtime_path", lambda name, **_: tmp_path / "run" / name)
    assert state_directory() == tmp_path / "run" / "pipeline-lab"
    assert stat.S_IMODE(state_directory().stat().st_mode) == 0o700


def test_a_state_directory_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(PlacementError, match="set XDG_RUNTIME_DIR to a directory of yours"):
        state_directory()
