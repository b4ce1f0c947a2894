"""All commands under one name: their help, their exit codes, and what they say with nothing up."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

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
