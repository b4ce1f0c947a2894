"""`lab logs` and `lab stats`: what the servers wrote and the balancers counted."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.choices import JSON, UpOffset, UpProtocol

__all__ = ["logs", "stats"]

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


def stats(as_json: JSON = False, offset: UpOffset = None, protocol: UpProtocol = None) -> None:
    """Print what balancers counted, by instance. In JSON those that are down are left out."""
    import json

    from rich.console import Console
    from rich.table import Table

    from lab.cli.control import Command, ask
    from lab.cli.state import find

    upkeep = find(offset, protocol)
    counted = ask(upkeep.control, Command.STATS)
    if as_json:
        typer.echo(json.dumps(counted))
        return
    balancers = [s.balancer.name for s in upkeep.options.build().services if s.balancer]
    if not balancers:
        typer.echo("no balancers here: they are what counts, and sequential has none")
        return
    table = Table("balancer", "instance", box=None, pad_edge=False)
    table.add_column("requests", justify="right")
    table.add_column("errors", justify="right")
    for balancer in balancers:
        if balancer not in counted:
            table.add_row(balancer, "down")
            continue
        answer = counted[balancer]
        for n, instance in enumerate(answer["instances"]):
            counts = answer["stats"][instance]
            requests, errors = f"{counts['requests']:,}", f"{counts['errors']:,}"
            table.add_row(balancer if n == 0 else "", instance, requests, errors)
    Console(highlight=False).print(table)
