"""`lab logs`: what the servers wrote."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.choices import UpOffset

__all__ = ["logs"]

FOLLOW_S = 0.3


def logs(
    server: Annotated[str | None, typer.Argument(metavar="SERVER", help="Its name; all if left out.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    offset: UpOffset = None,
) -> None:
    """Print what the servers logged."""
    import time

    from lab.cli.control import Command, ask
    from lab.cli.state import find

    upkeep = find(offset)
    names = [server] if server else [name for name, _ in upkeep.options.build().ports()]
    positions = dict.fromkeys(names, 0)
    while True:
        for name in names:
            lines, positions[name] = ask(upkeep.control, Command.LOGS, name, positions[name])
            for line in lines:
                typer.echo(line if server else f"{name:<21} {line}")
        if not follow:
            return
        time.sleep(FOLLOW_S)
