"""`lab down`: end what is up.

`lab test`: does what is up answer as documented?

`lab stats`: what the balancers counted.

`lab logs`: what the servers wrote.

`lab restart`: bring a server back, or each in turn.

`lab kill`: what if this server crashed?
"""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Annotated

import typer

from lab.cli.options import JSON, ServerName, UpOffset, UpProtocol
from lab.cli.state import Upkeep, find
from lab.errors import NotRunning, PlacementError
from services.names import ProtocolName

__all__ = ["down", "kill", "logs", "restart", "stats", "test"]

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


# ruff: noqa: PT028 (a command, and no test of pytest)


def test(
    offset: UpOffset = None,
    protocol: UpProtocol = None,
    text: Annotated[str | None, typer.Option(help="Also send this text and print the report.")] = None,
) -> None:
    """Check that what is up answers as documented: health, the example, bad input, statistics."""
    from lab.cli.state import find
    from lab.imports import Extra, needing

    options = find(offset, protocol).options
    topology = options.build()
    if topology.protocol is ProtocolName.GRPC:
        with needing(Extra.GRPC, topology.name):
            import lab.cli.acceptance_grpc as over_grpc
        findings, report = over_grpc.acceptance(topology, options.balancer), over_grpc.report
    else:
        import lab.cli.acceptance as over_http

        findings, report = over_http.acceptance(topology), over_http.report
    failed = 0
    for finding in findings:
        failed += not finding.ok
        mark = typer.style("PASS", fg="green") if finding.ok else typer.style("FAIL", fg="red")
        typer.echo(f"{mark} {finding.what}" + ("" if finding.ok else f": {finding.found}"))
    if text is not None:
        typer.echo(report(topology, text))
    typer.echo("all as documented" if not failed else f"{failed} not as documented: see `lab logs`")
    if failed:
        raise typer.Exit(1)


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


def kill(server: ServerName, offset: UpOffset = None) -> None:
    """End one server as a crash would."""
    from lab.cli.control import Command, ask
    from lab.cli.state import find

    ask(find(offset).control, Command.KILL, server)
    typer.echo(f"{server} is killed: `lab restart {server}` brings it back")
