"""The command line as a user meets it: in this process for speed, or in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lab.cli import main
from lab.cli.state import everything_up


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


class CommandLine:
    """Runs `lab …` in this process. `close` takes down what commands left up.

    Processes that were detached are children of this one, and nobody else would wait for them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._before = set(psutil.Process().children())

    def __call__(self, *arguments: str | int | Path) -> Done:
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["lab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *self._capsys.readouterr())

    def close(self) -> None:
        for upkeep in everything_up():
            assert self("down", "--offset", upkeep.options.offset).returncode == 0
        psutil.wait_procs(set(psutil.Process().children()) - self._before)


@contextmanager
def process(
    *arguments: str | int, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `lab …` in a process of its own."""
    command = [sys.executable, "-P", "-m", "lab.cli", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, cwd=cwd, env=env) as started:
        try:
            yield started
        except BaseException:
            started.kill()
            raise


def read_until(started: subprocess.Popen[str], text: str) -> None:
    """Read lines of the process up to one with `text`; fail if it ends before."""
    assert started.stdout is not None
    while text not in (line := started.stdout.readline()):
        assert line, started.communicate()


def connects(port: int) -> bool:
    """Whether something on loopback accepts a connection to the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closes this very moment
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for the condition, however long it takes: pytest's own timeout ends a hopeless wait."""
    while not condition():
        time.sleep(0.02)
