"""How other shells speak to the process that keeps a topology up: JSON lines over a Unix socket."""

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

if TYPE_CHECKING:  # who only asks need not import what runs
    from lab.placement import Running

__all__ = ["Command", "Control", "ask"]

ASK_S = 30.0
"""How long a command may take: restarting every server is the longest."""
TURN_S = 5.0
"""How long a caller may take to say what it wants, before the next one's turn."""
HEED_S = 0.5
"""How long a signal may go unheeded that arrives between Python's last look for one and the system's wait."""
LINE_LIMIT = 16 * 1024 * 1024


class Command(StrEnum):
    """What can be asked of a topology that another process keeps up."""

    STATS = "stats"
    LOGS = "logs"
    KILL = "kill"
    RESTART = "restart"
    DOWN = "down"


class Control:
    """Takes commands for a running topology, one caller at a time, until one says `down`."""

    def __init__(self, running: Running, path: Path) -> None:
        self._running = running
        self._path = path
        self._down = False

    @contextmanager
    def open(self) -> Iterator[Control]:
        """Callers may come inside the block; `serve` answers them."""
        self._path.unlink(missing_ok=True)  # left by one that was killed
        with socket.socket(socket.AF_UNIX) as self._socket:
            self._socket.bind(str(self._path))
            self._socket.listen()
            try:
                yield self
            finally:
                self._path.unlink(missing_ok=True)

    def serve(self) -> None:
        """Answer callers until one says `down`."""
        self._socket.settimeout(HEED_S)
        while not self._down:
            try:
                caller, _ = self._socket.accept()
            except TimeoutError:
                continue
            with caller, suppress(OSError):  # one that hangs up, or says nothing, has had its turn
                caller.settimeout(TURN_S)
                caller.sendall(json.dumps(self._answer(_read_line(caller))).encode() + b"\n")

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
    """What the process at that socket answers: to `logs`, the lines after `position` and where to go on from.

    Raises the LabError that it met, or NotRunning where nobody answers.
    """
    request = json.dumps({"command": command, "name": name, "position": position})
    try:
        with socket.socket(socket.AF_UNIX) as caller:
            caller.settimeout(timeout_s)
            caller.connect(str(path))
            caller.sendall(request.encode() + b"\n")
            answer = json.loads(_read_line(caller))
    except (OSError, ValueError) as error:
        raise NotRunning(
            f"the process that keeps it up does not answer at {path} ({error}): end it with `lab down`"
        ) from None
    if "error" in answer:
        raise getattr(errors, answer["error"], PlacementError)(answer["message"])
    return answer["result"]


def _read_line(sock: socket.socket) -> bytes:
    """All up to a newline. Raises OSError for a peer that stops half-way, or does not stop at all."""
    line = bytearray()
    while not line.endswith(b"\n"):
        if len(line) > LINE_LIMIT:
            raise OSError("a line without end")
        chunk = sock.recv(65536)
        if not chunk:
            raise OSError("hung up")
        line += chunk
    return bytes(line)
