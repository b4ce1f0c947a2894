"""Keeps the servers of a topology as processes, and never outlives whoever asked for them, nor they it.

Run as `python -m lab.placement.fork_server_main MODULE…`, with the modules that servers run and a socket as
standard input. Each line that comes over it is a command:

    {"do": "start", "name": …, "module": …, "arguments": […], "environ": {…}}   and with it the file to log to
    {"do": "signal", "name": …, "number": 9}
    {"do": "states"}

and each is answered by one line: `{"pid": …}`, `{"sent": true}`, and the exit status of every server by name,
null for those that run. Once the other end is closed, the warden kills all servers and ends.

It has imported what servers need and forks them (which gRPC allows: to import it starts no thread yet). So
twenty of them start in the time of one, and share its memory. What a server then does is what
`python -m services 1` does in a process of its own, with the same environment.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, NoReturn

from lab.placement.fork_server import read_line
from services.command import die_with

__all__ = ["main"]


class ForkServer:
    """The servers, by name, and the socket that commands come from."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._pids: dict[str, int] = {}
        self._statuses: dict[str, int | None] = {}

    def serve(self) -> None:
        """Do as told until nobody is left to tell."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        while True:
            ready, _, _ = select.select([self._control.fileno(), woken], [], [])
            if woken in ready:
                os.read(woken, 4096)
                self._reap()
            if self._control.fileno() in ready:
                line, files = read_line(self._control)
                if not line:
                    return
                self._control.sendall(json.dumps(self._do(json.loads(line), files)).encode() + b"\n")

    def end(self) -> None:
        """Kill every server that runs, the stopped ones too, and wait until all are gone."""
        for name, pid in self._pids.items():
            if self._statuses[name] is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _do(self, command: Mapping[str, Any], files: list[int]) -> dict[str, Any]:
        match command["do"]:
            case "start":
                return {"pid": self._start(command, *files)}
            case "signal":
                return {"sent": self._signal(command["name"], command["number"])}
        self._reap()
        return dict(self._statuses)

    def _start(self, command: Mapping[str, Any], log: int) -> int:
        warden = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            _become(command, log, warden)
        os.close(log)
        self._pids[command["name"]], self._statuses[command["name"]] = pid, None
        return pid

    def _signal(self, name: str, number: int) -> bool:
        self._reap()
        if self._statuses.get(name, 0) is not None:
            return False
        os.kill(self._pids[name], number)  # not reaped yet, so the pid is still its own
        return True

    def _reap(self) -> None:
        for name, pid in self._pids.items():
            if self._statuses[name] is None:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._statuses[name] = os.waitstatus_to_exitcode(status)


def main() -> None:
    """Serve the socket at standard input until its other end is closed."""
    control = socket.socket(fileno=os.dup(0))
    for name in sys.argv[1:]:
        import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, all that it shares
    warden = ForkServer(control)
    try:
        with suppress(ConnectionError):  # who asked went before the answer
            warden.serve()
    finally:
        warden.end()


def _become(command: Mapping[str, Any], log: int, warden: int) -> NoReturn:
    """Turn the new process into a server: it must never come back from here."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with(warden)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(command["environ"])
        status = import_module(command["module"]).main(command["arguments"])
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
