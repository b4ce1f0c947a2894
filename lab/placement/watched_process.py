"""A program of anybody's as a process under a watchdog: signals, log, and what it and its children use."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import psutil

from lab.errors import NotRunning
from lab.placement.logs import LogFile

__all__ = ["WatchedProcess"]

WATCHDOG = (sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py")))
KILL_S = 10.0
"""How long the system may take to end killed processes."""


class WatchedProcess:
    """A program that ends with this process, however this one ends, together with all that it started.

    It is a child of a watchdog (watchdog.py). All methods may be called from any thread.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        cwd: Path,
        environ: Mapping[str, str],
        log: LogFile,
        *,
        own_folder: bool,
    ) -> None:
        """Start `command` in `cwd` with exactly that environment. The watchdog removes an own folder."""
        self.name = name
        self._watchdog = subprocess.Popen(
            [*WATCHDOG, str(cwd) if own_folder else "", *command],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.fileno(),
            cwd=cwd,
            env=dict(environ),
            start_new_session=True,
        )
        assert self._watchdog.stdout is not None
        with self._watchdog.stdout as told:
            self.pid = int(told.readline() or 0) or None
            """The pid of the program itself, also after the program has ended."""

    @property
    def alive(self) -> bool:
        """Whether the program runs."""
        return self._watchdog.poll() is None

    @property
    def status(self) -> int | None:
        """The program's exit status, as a shell gives it (137: killed); None while it runs."""
        return self._watchdog.poll()

    def send_signal(self, number: Signals) -> None:
        """Send the program a signal; KILL, STOP and CONT go to all that it started too.

        Raises NotRunning where it has ended.
        """
        if self._watchdog.stdin is None or self._watchdog.stdin.closed or not self.alive:
            raise NotRunning(f"{self.name} does not run: start it first")
        with suppress(BrokenPipeError):  # it has just ended
            self._watchdog.stdin.write(bytes((number,)))

    def stop(self, grace_s: float, number: Signals = SIGTERM) -> None:
        """Ask the program to end; kill it if it still runs after `grace_s` seconds."""
        with suppress(NotRunning):
            self.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._watchdog.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """End the program and all that it started as a crash would."""
        with suppress(NotRunning):
            self.send_signal(SIGKILL)
        self._watchdog.wait(KILL_S)
        if self._watchdog.stdin is not None:
            self._watchdog.stdin.close()

    def processes(self) -> list[psutil.Process]:
        """Return the program's process and those below it: none where it has ended."""
        with suppress(psutil.Error):
            top = psutil.Process(self.pid) if self.alive else None
            return [top, *top.children(recursive=True)] if top else []
        return []

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that the program and its children have spent, those that ended too.

        Raises NotRunning once it has ended.
        """
        spent = 0.0
        for process in self._own_processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                spent += times.user + times.system
                if process.pid == self.pid:
                    spent += times.children_user + times.children_system
        return spent

    def rss_mb(self) -> float:
        """Return the resident memory of the program and its children, in 10⁶ bytes. Raises NotRunning."""
        used = 0
        for process in self._own_processes():
            with suppress(psutil.Error):
                used += process.memory_info().rss
        return used / 1e6

    def _own_processes(self) -> list[psutil.Process]:
        found = self.processes()
        if not found:
            raise NotRunning(f"{self.name} does not run: start it first")
        return found
