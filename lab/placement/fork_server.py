"""The near end of a warden: starting servers as processes, signalling them, and asking how they are.

Lines, and open files with them, over a socket between two processes.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from signal import Signals
from typing import Any

from lab.children import child_command
from lab.errors import NotRunning

__all__ = ["ForkServerClient", "clean_environ", "read_line"]


def read_line(sock: socket.socket) -> tuple[bytes, list[int]]:
    """A line, and the descriptors that came with it. The line is empty where the other end is closed.

    Nobody may send a second line before the first is answered: it would be taken for part of that.
    """
    line, descriptors = bytearray(), []
    while not line.endswith(b"\n"):
        part, came, _, _ = socket.recv_fds(sock, 65536, 1)
        descriptors += came
        if not part:
            return b"", descriptors
        line += part
    return bytes(line), descriptors


ANSWER_S = 30.0
"""How long the warden may take to answer: at first it imports what all servers need."""
END_S = 5.0


class ForkServerClient:
    """A warden and the servers it keeps, from `start` to `close`. Safe to use from any thread.

    Everything raises NotRunning once the warden has ended.
    """

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._warden: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the warden itself."""
        return self._warden.pid if self._warden else None

    def start(self, modules: Sequence[str]) -> None:
        """Start the warden. What it is told waits until it has imported these, which servers run."""
        self._control, other = socket.socketpair()
        self._control.settimeout(ANSWER_S)
        with other:
            self._warden = subprocess.Popen(
                child_command("lab.placement.fork_server_main", *modules),
                stdin=other.fileno(),
                stdout=subprocess.DEVNULL,
                # A Ctrl-C in the terminal is for whoever holds this, and they will see to the servers.
                start_new_session=True,
            )

    def launch(
        self, name: str, module: str, arguments: Sequence[str], environ: Mapping[str, str], log: int
    ) -> int:
        """Start a server: `main(arguments)` of that module, in that environment. Returns its pid.

        It writes to `log`, a descriptor, which stays open here.
        """
        command = {"do": "start", "name": name, "module": module, "arguments": arguments, "environ": environ}
        return int(self._ask(command, [log])["pid"])

    def signal(self, name: str, number: Signals) -> bool:
        """Send a server a signal. False where it has ended."""
        return bool(self._ask({"do": "signal", "name": name, "number": number})["sent"])

    def statuses(self) -> dict[str, int | None]:
        """The exit status of every server by name: None of those that run, negative of those killed."""
        return self._ask({"do": "states"})

    def close(self) -> None:
        """Kill what still runs, and the warden with it."""
        if self._warden is None:
            return
        self._control.close()
        try:
            self._warden.wait(END_S)
        except subprocess.TimeoutExpired:
            self._warden.kill()
            self._warden.wait()
        self._warden = None

    def _ask(self, command: Mapping[str, Any], files: Sequence[int] = ()) -> dict[str, Any]:
        with self._asking:
            try:
                line = json.dumps(command).encode() + b"\n"
                if files:
                    sent = socket.send_fds(self._control, [line], files)
                    line = line[sent:]
                self._control.sendall(line)
                answer, _ = read_line(self._control)
            except OSError:
                answer = b""
            except BaseException:  # interrupted half-way: the next one asked would get this answer
                self._control.close()
                raise
        if not answer:
            raise NotRunning(
                "the process that keeps the servers has ended, and they with it: start them again"
            )
        told: dict[str, Any] = json.loads(answer)
        return told


def clean_environ(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these settings, and none that was set for other servers."""
    inherited = {
        n: v for n, v in os.environ.items() if not n.startswith(("SERVICE", "BALANCER_", "INSTANCE_ID"))
    }
    return {**inherited, **settings}
