"""The command `lab doctor`: what of this machine colours the numbers, and what a start costs here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import JSON
from lab.errors import StartFailed
from lab.names import PlacementName, TopologyName

if TYPE_CHECKING:
    from lab.machine import Fact

__all__ = ["doctor"]

LIMITS = {PlacementName.IN_PROCESS: (300, 60), PlacementName.PROCESSES: (3000, 800)}
"""Milliseconds and megabytes beyond which a start is reported as slow."""
MEASURE_S = 60.0


def doctor(
    startup: Annotated[
        bool,
        typer.Option("--startup", help="Also start each topology on spare ports: how long, how much memory."),
    ] = False,
    as_json: JSON = False,
) -> None:
    """Say what of this machine colours the numbers."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from lab.machine import facts

    found = [*facts(), _busy_ports(), *(_startups() if startup else [])]
    if as_json:
        typer.echo(json.dumps([{**asdict(fact), "ok": fact.ok} for fact in found]))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for fact in found:
        mark = "[green]ok[/green]" if fact.ok else "[yellow]warn[/yellow]"
        table.add_row(mark, fact.name, fact.value if fact.ok else f"{fact.value}\n→ {fact.remedy}")
    Console(highlight=False).print(table)


def _busy_ports() -> Fact:
    """Return which of the documented ports are taken, and by which process."""
    from lab.machine import Fact
    from lab.placement.ports import holders
    from lab.topology import Topology

    wanted = {port for topology in map(Topology.named, TopologyName) for _, port in topology.ports()}
    busy = {port: holder for port, holder in holders().items() if port in wanted}
    if not busy:
        return Fact("documented ports", "all free")
    named = "\n".join(f"{port} {holder}" for port, holder in sorted(busy.items()))
    return Fact("documented ports", named, "end that, or use --offset")


def _startups() -> list[Fact]:
    """Start each topology in each placement, in a fresh process each, and return what that costs."""
    from rich.console import Console
    from rich.progress import track

    starts = [(name, placement) for name in TopologyName for placement in LIMITS]
    console = Console(stderr=True)
    shown = track(starts, "starting each", console=console, transient=True, disable=not console.is_terminal)
    return [_startup(name, placement) for name, placement in shown]


def _startup(name: TopologyName, placement: PlacementName) -> Fact:
    import subprocess

    from lab.children import child_command
    from lab.machine import Fact

    command = child_command("lab.placement.startup", name, placement)
    done = subprocess.run(command, capture_output=True, text=True, timeout=MEASURE_S, check=False)
    if done.returncode:
        raise StartFailed(f"{name} did not start: {done.stderr.strip().splitlines()[-1]}")
    cost = json.loads(done.stdout)
    value = (
        f"{cost['servers']} servers in {cost['start_ms']:.0f} ms and {cost['rss_mb']:.1f} MB, "
        f"gone in {cost['stop_ms']:.0f} ms"
    )
    limit_ms, limit_mb = LIMITS[placement]
    slow = cost["start_ms"] > limit_ms or cost["rss_mb"] > limit_mb
    remedy = f"more than {limit_ms} ms or {limit_mb} MB: is something else computing?"
    return Fact(f"starting {name} ({placement})", value, remedy if slow else None)
