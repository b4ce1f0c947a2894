"""`lab down`, `lab kill` and `lab restart`: ending what is up, all of it or one server."""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Annotated

import typer

from lab.cli.choices import ServerName, UpOffset
from lab.cli.state import Upkeep, find
from lab.errors import NotRunning, PlacementError

__all__ = ["down", "kill", "restart"]

HEAR_S = 1.0
"""How long a process may take to hear that it shall end, before it is told less kindly."""
DOWN_S = 4.0
"""How long it may then take over it."""
POLL_S = 0.02


def down(offset: UpOffset = None) -> None:
    """End the topology that is up."""
    from lab.cli.control import Command, ask

    upkeep = find(offset)
    try:
        ask(upkeep.control, Command.DOWN, timeout_s=HEAR_S)
    except NotRunning:  # it is there and does not listen: busy, frozen or about to end
        os.kill(upkeep.pid, signal.SIGTERM)
        os.kill(upkeep.pid, signal.SIGCONT)
    if not _gone(upkeep):
        os.kill(upkeep.pid, signal.SIGKILL)
        if not _gone(upkeep):
            raise PlacementError(f"pid {upkeep.pid} does not end: see what holds it")
    upkeep.remove()
    typer.echo(f"{upkeep.options.topology} is down")


def _gone(upkeep: Upkeep) -> bool:
    """Whether the process is gone, and with it all it listened on, within the time it has for that."""
    _, host, port = next(upkeep.options.build().addresses())
    end = time.monotonic() + DOWN_S
    while time.monotonic() < end:
        if not upkeep.alive and not _listens(host, port):
            return True
        time.sleep(POLL_S)
    return False


def _listens(host: str, port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((host, port)) == 0


def kill(server: ServerName, offset: UpOffset = None) -> None:
    """End one server as a crash would."""
    from lab.cli.control import Command, ask

    ask(find(offset).control, Command.KILL, server)
    typer.echo(f"{server} is killed: `lab restart {server}` brings it back")


def restart(
    server: Annotated[
        str | None, typer.Argument(metavar="SERVER", help="Its name; all of them if left out.")
    ] = None,
    offset: UpOffset = None,
) -> None:
    """Start one server again, or all in turn."""
    from lab.cli.control import Command, ask

    upkeep = find(offset)
    for name in [server] if server else [name for name, _ in upkeep.options.build().ports()]:
        ask(upkeep.control, Command.RESTART, name)
        typer.echo(f"{name} restarted")
