"""Programs of one's own as instances of services: each starts under a watchdog and ends with its children."""

from __future__ import annotations

import http.client
import os
import re
import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from signal import Signals

import psutil

from lab.errors import NotRunning, StartFailed
from lab.pipeline.wiring import command_of, environment_of
from lab.placement.logs import LogFile
from lab.placement.watched_process import WatchedProcess
from lab.topology import Instance, OwnProgram, Service, Topology
from services.addresses import address_of

__all__ = ["OwnPrograms"]

READY_S = 1.0
"""How long one question whether an instance is ready may take."""
BOTH_LOOPBACKS = ("127.0.0.1", "::1")
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}
"""Where one that listens on all addresses is reached."""
_FRAME = re.compile(r'\s*File "([^"]+)", line (\d+)')


class OwnPrograms:
    """The programs that run, by the name of their instance, until `close`. Safe to use from any thread."""

    def __init__(self) -> None:
        self._processes: dict[str, WatchedProcess] = {}

    def launch(self, topology: Topology, service: Service, instance: Instance, log: LogFile) -> int:
        """Start the program of an instance, which logs there. Return its pid.

        Raises StartFailed where there is no such program or folder.
        """
        program = _program(service)
        if instance.name in self._processes:
            self._processes.pop(instance.name).kill()  # it has ended: this closes what is left of it
        command = command_of(topology, service, instance)
        environ = {**os.environ, **environment_of(topology, service, instance)}
        if not program.folder.is_dir():
            raise StartFailed(f"{instance.name} would run in {program.folder}, which is no folder")
        process = WatchedProcess(instance.name, command, program.folder, environ, log, own_folder=False)
        self._processes[instance.name] = process
        if process.pid is None:
            raise StartFailed(f"{instance.name} could not be started{_last_words(log)}")
        return process.pid

    def signal(self, name: str, number: Signals) -> bool:
        """Send a program a signal; KILL, STOP and CONT reach its children too. False where it has ended."""
        try:
            self._processes[name].send_signal(number)
        except (KeyError, NotRunning):
            return False
        return True

    def running(self) -> dict[str, int]:
        """Return the pid of every program that runs."""
        return {name: each.pid for name, each in self._processes.items() if each.pid and each.alive}

    def processes(self, name: str) -> list[psutil.Process]:
        """Return the processes of a program, its children too: none where it has ended."""
        return self._processes[name].processes() if name in self._processes else []

    def ready_at(self, service: Service, instance: Instance) -> str | None:
        """Return the loopback address at which an instance is ready, or None while it is not.

        That is the address it was given, or the other loopback address where it listens on that alone.
        """
        program, listening = _program(service), self._listening(instance.name)
        for host in (instance.host, *BOTH_LOOPBACKS):
            if (host, instance.port) in listening and _answers(host, instance.port, program):
                return host
        return None

    def ended(self, service: Service, instance: Instance, log: LogFile) -> str:
        """Say how the program of an instance ended instead of becoming ready."""
        process = self._processes[instance.name]
        if process.status == 0:
            why = "ended in good order: does it go to the background? Run it in the foreground"
        elif process.status == 127 and _lines(log) and "cannot be run" in _lines(log)[-1]:
            return f"{instance.name} could not be started: {_lines(log)[-1]}"
        else:
            why = f"ended instead of starting, with status {process.status}"
        return f"{instance.name} {why}{_where(log, _program(service).folder)}{_last_words(log)}"

    def late(self, service: Service, instance: Instance, log: LogFile) -> str:
        """Say what an instance does instead of being ready, now that its time is over."""
        program, listening = _program(service), self._listening(instance.name)
        elsewhere = sorted({port for _, port in listening if port != instance.port})
        if any(port == instance.port for _, port in listening):
            what = f"answers nothing good to GET {program.ready}" if program.ready else "takes no connections"
        elif elsewhere:
            ports = ", ".join(map(str, elsewhere))
            what = (
                f"listens on port {ports}: let it read {{port}} or $PORT, or give it `port: {elsewhere[0]}`"
            )
        else:
            what = "listens nowhere"
        where = f"port {instance.port} within {program.ready_within_s:g} s"
        return f"{instance.name} was not ready on {where}: it {what}{_last_words(log)}"

    def close(self) -> None:
        """Kill the programs that still run, and all that they started."""
        for process in self._processes.values():
            process.kill()
        self._processes.clear()

    def _listening(self, name: str) -> set[tuple[str, int]]:
        """Return the addresses that a program and its children listen on, as they are reached from here."""
        found: set[tuple[str, int]] = set()
        for process in self.processes(name):
            with suppress(psutil.Error):
                for connection in process.net_connections("tcp"):
                    if connection.status == psutil.CONN_LISTEN and connection.laddr:
                        host, port = connection.laddr[:2]
                        found.add((ANYWHERE.get(host, host), port))
        return found


def _program(service: Service) -> OwnProgram:
    assert service.program is not None, f"{service.name} is a service of the lab"
    return service.program


def _answers(host: str, port: int, program: OwnProgram) -> bool:
    """Return whether the instance accepts a connection and says it is ready, where it has a path for that."""
    try:
        if not program.ready:
            socket.create_connection((host, port), timeout=READY_S).close()
            return True
        connection = http.client.HTTPConnection(host, port, timeout=READY_S)
        try:
            connection.request("GET", program.ready, headers={"Host": address_of(host, port)})
            return 200 <= connection.getresponse().status < 300
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def _lines(log: LogFile) -> list[str]:
    return [line for line in log.since()[0] if line.strip()]


def _last_words(log: LogFile) -> str:
    lines = _lines(log)
    return f": its log ends with {lines[-1]!r}" if lines else ", and its log is empty"


def _where(log: LogFile, folder: Path) -> str:
    """Name the last line of a traceback that stands in a file of the user's."""
    frames: Iterable[re.Match[str]] = filter(None, map(_FRAME.match, _lines(log)))
    own = [
        frame for frame in frames if Path(frame[1]).is_relative_to(folder) and "site-packages" not in frame[1]
    ]
    return f" ({Path(own[-1][1]).relative_to(folder)}, line {own[-1][2]})" if own else ""
