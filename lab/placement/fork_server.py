"""Servers as processes, forked by one that has imported what all of them need: this side of it.

A ForkServerClient starts the fork server (fork_server_main.py) and asks it, over one socket, to launch
servers, to signal them, and how they ended. Each request is answered before the next is sent.

multiprocessing.forkserver rests on the same idea and does not serve here, for these reasons:

- A process has one of it, whose preloaded modules and environment belong to the user's own code.
- Each child imports `__main__` anew (multiprocessing.spawn.prepare): README's example in Python, which has no
  `if __name__ == "__main__"`, would run again in each server.
- It runs as `python -c`, and Python 3.11 preloads with the working directory first on the path: a `services`
  folder or a `lab.py` there would be imported in place of the lab's own.
- It reaps a child at once, so that a signal sent to the child's pid may reach another process.

The messages are multiprocessing's all the same: a Connection carries them, and touches nothing shared.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Pipe
from multiprocessing.reduction import send_handle
from signal import Signals
from typing import Any

from lab.children import child_command
from lab.errors import NotRunning

__all__ = ["ForkServerClient", "clean_environ"]

ANSWER_S = 30.0
"""How long the fork server may take to answer: at first it imports what all servers need."""
END_S = 5.0
"""How long the fork server may take to kill its servers and end."""


class ForkServerClient:
    """A fork server and its servers, from `start` to `close`. Safe to use from any thread.

    Methods that ask the fork server raise NotRunning once it has ended.
    """

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid of the fork server itself."""
        return self._process.pid if self._process else None

    def start(self, modules: Sequence[str]) -> None:
        """Start the fork server. Requests wait until it has imported `modules`, which servers run."""
        self._control, far = Pipe()
        with far:
            self._process = subprocess.Popen(
                child_command("lab.placement.fork_server_main", *modules),
                stdin=far.fileno(),
                stdout=subprocess.DEVNULL,
                # A Ctrl-C in the terminal goes to this process, which stops the servers in good order.
                start_new_session=True,
            )

    def launch(
        self, name: str, module: str, arguments: Sequence[str], environ: Mapping[str, str], log: int
    ) -> int:
        """Start a server, `main(arguments)` of `module`, with exactly that environment. Return its pid.

        `log` is the descriptor that the server writes to; it stays open here.
        """
        return int(self._ask(("launch", name, module, list(arguments), dict(environ)), log))

    def signal(self, name: str, number: Signals) -> bool:
        """Send a server a signal. Return False where the server has ended."""
        return bool(self._ask(("signal", name, int(number))))

    def statuses(self) -> dict[str, int | None]:
        """Return each server's exit status by name: None while it runs, negative if a signal ended it."""
        statuses: dict[str, int | None] = self._ask(("statuses",))
        return statuses

    def close(self) -> None:
        """Kill the servers that still run, and end the fork server."""
        if self._process is None:
            return
        self._control.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _ask(self, request: tuple[Any, ...], file: int | None = None) -> Any:
        assert self._process is not None, "start the fork server first"
        with self._asking:
            try:
                self._control.send(request)
                if file is not None:
                    send_handle(self._control, file, self._process.pid)
                if self._control.poll(ANSWER_S):
                    return self._control.recv()
            except (OSError, EOFError):
                pass
            except BaseException:  # interrupted half-way: the next request would get this one's answer
                self._control.close()
                raise
        raise NotRunning("the fork server has ended, and its servers with it: start the topology again")


def clean_environ(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with `settings`, and without what is set for other servers."""
    inherited = {
        n: v for n, v in os.environ.items() if not n.startswith(("SERVICE", "BALANCER_", "INSTANCE_ID"))
    }
    return {**inherited, **settings}
