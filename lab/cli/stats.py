"""`lab stats`: what the balancers counted."""

from __future__ import annotations

import typer

from lab.cli.choices import JSON, UpOffset, UpProtocol

__all__ = ["stats"]


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
