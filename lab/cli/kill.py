"""`lab kill`: what if this server crashed?"""

from __future__ import annotations

import typer

from lab.cli.choices import ServerName, UpOffset

__all__ = ["kill"]


def kill(server: ServerName, offset: UpOffset = None) -> None:
    """End one server as a crash would."""
    from lab.cli.control import Command, ask
    from lab.cli.state import find

    ask(find(offset).control, Command.KILL, server)
    typer.echo(f"{server} is killed: `lab restart {server}` brings it back")
