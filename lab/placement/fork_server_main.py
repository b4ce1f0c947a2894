"""The fork server: a process that forks the servers of a topology, and ends with its client.

Its arguments are the modules that servers run; its standard input is a socket (fork_server.py has the other
end) on which each request gets one answer:

    ("launch", name, module, arguments, environ), then the file to log to   → the server's pid
    ("signal", name, number)                                                → whether the server still ran
    ("statuses",)                                                           → exit statuses by name

A status is None while the server runs. Once the other end is closed, the fork server kills all servers and
ends. On Linux servers die with the fork server too, even if that is killed.

The fork server has imported what servers need and forks them (which gRPC allows: its import starts no
thread). So twenty start in the time of one, and share its memory. Each then does what `python -m services
1` does in a process of its own, with the same environment.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import NoReturn

from services.command import die_with

__all__ = ["main"]


class ForkServer:
    """The servers by name, and the connection that requests come from.

    An ended server stays a zombie until the next request, so its pid is never another process's.
    """

    def __init__(self, control: Connection) -> None:
        self._control = control
        self._pids: dict[str, int] = {}
        self._statuses: dict[str, int | None] = {}

    def serve(self) -> None:
        """Answer requests. Raises EOFError or ConnectionError once the other end is closed."""
        while True:
            match self._control.recv():
                case "launch", name, module, arguments, environ:
                    self._control.send(self._launch(name, module, arguments, environ))
                case "signal", name, number:
                    self._control.send(self._signal(name, number))
                case _:
                    self._reap()
                    self._control.send(self._statuses)

    def end(self) -> None:
        """Kill every server that runs, the stopped ones too, and wait until all are gone."""
        for name, pid in self._pids.items():
            if self._statuses[name] is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

    def _launch(self, name: str, module: str, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
        log, parent = recv_handle(self._control), os.getpid()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            _become_server(module, arguments, environ, log, parent)
        os.close(log)
        self._pids[name], self._statuses[name] = pid, None
        return pid

    def _signal(self, name: str, number: int) -> bool:
        self._reap()
        if self._statuses.get(name, 0) is not None:
            return False
        os.kill(self._pids[name], number)
        return True

    def _reap(self) -> None:
        for name, pid in self._pids.items():
            if self._statuses[name] is None:
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    self._statuses[name] = os.waitstatus_to_exitcode(status)


def main() -> None:
    """Serve the socket at standard input until its other end is closed."""
    control = Connection(os.dup(0))
    for name in sys.argv[1:]:
        import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, all that it shares
    fork_server = ForkServer(control)
    try:
        with suppress(EOFError, ConnectionError):
            fork_server.serve()
    finally:
        fork_server.end()


def _become_server(
    module: str, arguments: Sequence[str], environ: Mapping[str, str], log: int, parent: int
) -> NoReturn:
    """Turn the new process into a server: it must never come back from here."""
    status = 1
    try:
        die_with(parent)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.clear()
        os.environ.update(environ)
        status = import_module(module).main(arguments)
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
