"""The channel from other shells to the process that keeps a topology up: JSON lines over a Unix socket.

The socket lies in the user's own state directory, which no other user can enter. `multiprocessing.connection`
has a Listener and a Client for such sockets, but no timeout for accepting, connecting, sending, or the rest
of a message that has begun: one stopped shell would hold the keeper for ever. So this uses plain sockets,
which have one.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import errors
from lab.errors import LabError, NotRunning, PlacementError

if TYPE_CHECKING:  # a shell that only asks need not import what runs
    from lab.placement import Running

__all__ = ["Command", "Control", "ask"]

ASK_S = 30.0
"""Seconds that a command may take: restarting every server takes the longest."""
SHELL_S = 5.0
"""Seconds that a shell may take to send its command, or to read the answer; then the next one is served."""
SIGNAL_CHECK_S = 0.5
"""Seconds after which a signal is seen that arrives between Python's last check and the system's wait."""
LINE_LIMIT = 16 * 1024 * 1024
"""Bytes in the longest command or answer."""


class Command(StrEnum):
    """A command for a topology that another process keeps up."""

    STATS = "stats"
    LOGS = "logs"
    KILL = "kill"
    RESTART = "restart"
    DOWN = "down"


class Control:
    """Serves commands for a running topology, one shell at a time, until one says `down`."""

    def __init__(self, running: Running, path: Path) -> None:
        self._running = running
        self._path = path
        self._down = False

    @contextmanager
    def open(self) -> Iterator[Control]:
        """Listen on the socket inside the block; `serve` answers."""
        self._path.unlink(missing_ok=True)  # left by a process that was killed
        with socket.socket(socket.AF_UNIX) as self._socket:
            self._socket.bind(str(self._path))
            self._socket.listen()
            try:
                yield self
            finally:
                self._path.unlink(missing_ok=True)

    def serve(self) -> None:
        """Answer commands until one is `down`."""
        self._socket.settimeout(SIGNAL_CHECK_S)
        while not self._down:
            try:
                shell, _ = self._socket.accept()
            except TimeoutError:
                continue
            with shell, suppress(OSError):  # a shell that hangs up or stalls is not waited for
                shell.settimeout(SHELL_S)
                shell.sendall(json.dumps(self._answer(_read_line(shell))).encode() + b"\n")

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"result": self._do(Command(request["command"]), request["name"], request["position"])}
        except LabError as error:
            return {"error": type(error).__name__, "message": str(error)}
        except (ValueError, KeyError, TypeError) as error:
            return {"error": "PlacementError", "message": f"not a command: {error!r}"}

    def _do(self, command: Command, name: str, position: int) -> Any:
        match command:
            case Command.STATS:
                return self._running.stats()
            case Command.LOGS:
                return self._running.logs_since(name, position)
            case Command.KILL:
                self._running.kill(name)
            case Command.RESTART:
                self._running.restart(name)
            case Command.DOWN:
                self._down = True
        return None


def ask(path: Path, command: Command, name: str = "", position: int = 0, *, timeout_s: float = ASK_S) -> Any:
    """Send a command to the process that listens at `path` and return its result.

    The result of `logs` is the lines after `position`, and the position to go on from. Raises the LabError
    that the command met, or NotRunning if no answer comes within `timeout_s`.
    """
    request = json.dumps({"command": command, "name": name, "position": position})
    try:
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.settimeout(timeout_s)
            keeper.connect(str(path))
            keeper.sendall(request.encode() + b"\n")
            answer = json.loads(_read_line(keeper))
    except (OSError, ValueError) as error:
        raise NotRunning(
            f"the process that keeps it up does not answer at {path} ({error}): end it with `lab down`"
        ) from None
    if "error" in answer:
        raise getattr(errors, answer["error"], PlacementError)(answer["message"])
    return answer["result"]


def _read_line(sock: socket.socket) -> bytes:
    """Read up to a newline. Raises OSError if none comes in time, or none within LINE_LIMIT bytes."""
    with sock.makefile("rb") as stream:
        line = stream.readline(LINE_LIMIT)
    if not line.endswith(b"\n"):
        raise OSError("hung up")
    return line
