"""The command `lab doctor`: what of this machine colours the numbers, and what a start costs here."""

from __future__ import annotations

from typing import Annotated

import typer

from lab.cli.options import JSON

__all__ = ["doctor"]


def doctor(
    startup: Annotated[
        bool,
        typer.Option("--startup", help="Also start each topology on spare ports: how long, how much memory."),
    ] = False,
    as_json: JSON = False,
) -> None:
    """Say what of this machine colours the numbers."""
    import json
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from lab.cli.startup import busy_ports, startups
    from lab.machine import facts

    found = [*facts(), busy_ports(), *(startups() if startup else [])]
    if as_json:
        typer.echo(json.dumps([{**asdict(fact), "ok": fact.ok} for fact in found]))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for fact in found:
        mark = "[green]ok[/green]" if fact.ok else "[yellow]warn[/yellow]"
        table.add_row(mark, fact.name, fact.value if fact.ok else f"{fact.value}\n→ {fact.remedy}")
    Console(highlight=False).print(table)
