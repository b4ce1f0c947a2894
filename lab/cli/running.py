"""`lab down`: end what is up."""

from __future__ import annotations

import os
import signal
import socket
import time

import typer

from lab.cli.choices import UpOffset
from lab.cli.state import Upkeep, find
from lab.errors import NotRunning, PlacementError

__all__ = ["down"]

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
