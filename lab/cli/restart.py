"""`lab restart`: bring a server back, or each in turn."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.choices import UpOffset

__all__ = ["restart"]


def restart(
    server: Annotated[
        str | None, typer.Argument(metavar="SERVER", help="Its name; all of them if left out.")
    ] = None,
    offset: UpOffset = None,
) -> None:
    """Start one server again, or all in turn."""
    from lab.cli.control import Command, ask
    from lab.cli.state import find

    upkeep = find(offset)
    for name in [server] if server else [name for name, _ in upkeep.options.build().ports()]:
        ask(upkeep.control, Command.RESTART, name)
        typer.echo(f"{name} restarted")
