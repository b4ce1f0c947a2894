"""The commands on a topology that another process keeps up: down, kill, logs, restart, stats and test."""

# ruff: noqa: PT028 (`test` is a command, not a test of pytest)

from __future__ import annotations

import os
import signal
import socket
import time
from typing import Annotated

import typer

from lab.cli.control import Command, ask
from lab.cli.options import JSON, ServerName, UpOffset, UpProtocol
from lab.cli.state import Upkeep, find_upkeep
from lab.errors import BadParameter, NotRunning, PlacementError
from services.names import ProtocolName

__all__ = ["down", "kill", "logs", "restart", "stats", "test"]

ANSWER_S = 1.0
"""Seconds that a process may take to answer `down`, before it gets a signal."""
DOWN_S = 4.0
"""Seconds that it may then take to end, before it is killed."""
POLL_S = 0.02
FOLLOW_S = 0.3
"""Seconds between two looks for new lines of a log."""


def down(offset: UpOffset = None) -> None:
    """End the topology that is up."""
    upkeep = find_upkeep(offset)
    try:
        ask(upkeep.control, Command.DOWN, timeout_s=ANSWER_S)
    except NotRunning:  # the process exists and does not listen: busy, frozen or about to end
        os.kill(upkeep.pid, signal.SIGTERM)
        os.kill(upkeep.pid, signal.SIGCONT)
    if not _gone(upkeep):
        os.kill(upkeep.pid, signal.SIGKILL)
        if not _gone(upkeep):
            raise PlacementError(f"pid {upkeep.pid} does not end: see what holds it")
    upkeep.remove()
    typer.echo(f"{upkeep.options.name} is down")


def _gone(upkeep: Upkeep) -> bool:
    """Wait up to DOWN_S until the process and the port of its first server are gone; say whether they are."""
    _, host, port = next(upkeep.options.build().started())
    end = time.monotonic() + DOWN_S
    while time.monotonic() < end:
        if not upkeep.alive and not _listens(host, port):
            return True
        time.sleep(POLL_S)
    return False


def _listens(host: str, port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((host, port)) == 0


def test(
    offset: UpOffset = None,
    protocol: UpProtocol = None,
    text: Annotated[str | None, typer.Option(help="Also send this text and print the report.")] = None,
) -> None:
    """Check that what is up answers as documented: health, the example, bad input, statistics."""
    from lab.imports import Extra, needing

    options = find_upkeep(offset, protocol).options
    topology = options.build()
    pipeline = options.pipeline
    if pipeline is not None:
        import lab.cli.acceptance as over_http
        from lab.cli.acceptance_own import acceptance

        if text is not None:
            raise BadParameter(f"--text is for the documented pipeline: {options.name} says what to send")
        checks, report_of = acceptance(pipeline, topology), over_http.report_of
    elif topology.protocol is ProtocolName.GRPC:
        with needing(Extra.GRPC, topology.name):
            import lab.cli.acceptance_grpc as over_grpc
        checks, report_of = over_grpc.acceptance(topology, options.balancer), over_grpc.report_of
    else:
        import lab.cli.acceptance as over_http

        checks, report_of = over_http.acceptance(topology), over_http.report_of
    failed = 0
    for check in checks:
        failed += not check.ok
        mark = typer.style("PASS", fg="green") if check.ok else typer.style("FAIL", fg="red")
        typer.echo(f"{mark} {check.what}" + ("" if check.ok else f": {check.found}"))
    if text is not None:
        typer.echo(report_of(topology, text))
    kind = "documented" if pipeline is None else "the file says"
    typer.echo(f"all as {kind}" if not failed else f"{failed} not as {kind}: see `lab logs`")
    if failed:
        raise typer.Exit(1)


def stats(as_json: JSON = False, offset: UpOffset = None, protocol: UpProtocol = None) -> None:
    """Print what balancers counted, by instance. JSON omits balancers that are down."""
    import json

    from rich.console import Console
    from rich.table import Table

    upkeep = find_upkeep(offset, protocol)
    counted = ask(upkeep.control, Command.STATS)
    if as_json:
        typer.echo(json.dumps(counted))
        return
    balancers = [s.balancer.name for s in upkeep.options.build().services if s.balancer]
    if not balancers:
        typer.echo(f"{upkeep.options.name} has no balancers, and only balancers count")
        return
    table = Table("balancer", "instance", box=None, pad_edge=False)
    table.add_column("requests", justify="right")
    table.add_column("errors", justify="right")
    for balancer in balancers:
        if balancer not in counted:
            table.add_row(balancer, "down")
            continue
        own = counted[balancer]
        for n, instance in enumerate(own["instances"]):
            counts = own["stats"][instance]
            requests, errors = f"{counts['requests']:,}", f"{counts['errors']:,}"
            table.add_row(balancer if n == 0 else "", instance, requests, errors)
    Console(highlight=False).print(table)


def logs(
    server: Annotated[str | None, typer.Argument(metavar="SERVER", help="Its name; all if left out.")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines, until Ctrl-C.")
    ] = False,
    offset: UpOffset = None,
) -> None:
    """Print what the servers logged."""
    upkeep = find_upkeep(offset)
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
    """Restart one server, or all in turn."""
    upkeep = find_upkeep(offset)
    for name in [server] if server else [name for name, _ in upkeep.options.build().ports()]:
        ask(upkeep.control, Command.RESTART, name)
        typer.echo(f"{name} restarted")


def kill(server: ServerName, offset: UpOffset = None) -> None:
    """Kill one server, as a crash would."""
    ask(find_upkeep(offset).control, Command.KILL, server)
    typer.echo(f"{server} is killed: `lab restart {server}` brings it back")
