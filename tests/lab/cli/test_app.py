"""All commands under one name: their help, their exit codes, and what they say with nothing up."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine


def test_help_lists_the_commands_without_importing_servers_or_charts() -> None:
    heavy = ("fastapi", "uvicorn", "httpx", "pandas", "matplotlib", "numpy", "rich.markdown")
    code = f"import sys, lab.cli.app; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_that_of_the_distribution(lab: CommandLine) -> None:
    done = lab("--version")
    assert (done.returncode, done.stdout) == (0, f"pipeline-lab {version('pipeline-lab')}\n")


def test_a_command_that_does_not_exist_is_misuse(lab: CommandLine) -> None:
    done = lab("fly")
    assert done.returncode == 2
    assert "fly" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("stats",), ("logs",), ("restart",), ("kill", "service1"), ("down",), ("test",), ("benchmark",)],
)
def test_with_nothing_up_each_command_says_so_in_one_line(
    lab: CommandLine, arguments: tuple[str, ...]
) -> None:
    done = lab(*arguments)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["lab: nothing is up: start something with `lab up parallel --detach`"]


NON_ASCII = "1–2 × 3 ≤ 4 ☃ \udcff"


def printed(encoding: dict[str, str], stream: str = "stdout") -> str:
    code = (
        "import sys, lab.cli.app as app\n"
        f"app._run = lambda: print({NON_ASCII!a}, file=sys.{stream}) or 0\n"
        "app.run()"
    )
    env = {**os.environ, **encoding}
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return getattr(done, stream).decode("latin-1").strip()


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
    "encoding",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""},
    ],
)
def test_what_ascii_lacks_is_said_more_plainly(encoding: dict[str, str], stream: str) -> None:
    assert printed(encoding, stream) == r"1-2 x 3 <= 4 \u2603 \udcff"


def test_what_latin_1_has_stays() -> None:
    assert printed({"PYTHONIOENCODING": "latin-1"}) == r"1-2 × 3 <= 4 \u2603 \udcff"


def lab_to(stdout: str, *arguments: str, stderr: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run `lab …` with its stdout sent there."""
    with Path(stdout).open("w") as file:
        command = [sys.executable, "-P", "-m", "lab.cli", *arguments]
        return subprocess.run(command, stdout=file, stderr=stderr, text=True, check=False)


full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")


@full
def test_what_stdout_has_no_room_for_goes_to_stderr_and_makes_the_exit_code_1() -> None:
    done = lab_to("/dev/full", "--version")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "lab: stdout cannot be written (No space left on device), so here is the rest:",
        f"pipeline-lab {version('pipeline-lab')}",
    ]


@full
def test_a_stderr_that_is_full_costs_nothing_else(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as stderr:
        done = lab_to(str(tmp_path / "out"), "stats", stderr=stderr.fileno())
    assert done.returncode == 1
    assert lab_to("/dev/full", "--version", stderr=subprocess.DEVNULL).returncode == 1


def test_a_closed_pipe_leaves_no_traceback() -> None:
    command = [sys.executable, "-P", "-m", "lab.cli", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        assert started.stderr.read() == ""


@pytest.mark.parametrize("arguments", [("load",), ("load", "--duration"), ("up", "diagonal"), ("fly",)])
def test_misuse_is_said_in_one_line_that_names_the_help(lab: CommandLine, arguments: tuple[str, ...]) -> None:
    done = lab(*arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "--help`" in done.stderr


def test_without_a_command_the_help_is_printed(lab: CommandLine) -> None:
    done = lab()
    assert "saturate" in done.stdout + done.stderr
