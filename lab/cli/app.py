"""All commands under one name, and the exit codes for their errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lab.cli.benchmark import benchmark
from lab.cli.doctor import doctor
from lab.cli.results import chart, check, compare
from lab.cli.running import down, kill, logs, restart, stats, test
from lab.cli.up import up
from lab.cli.url import load, saturate
from lab.errors import BadParameter, LabError

__all__ = ["app", "run"]

FAILED = 1
MISUSED = 2

app = typer.Typer(
    name="lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(up)
app.command()(down)
app.command()(restart)
app.command()(kill)
app.command()(test)
app.command()(benchmark)
app.command()(logs)
app.command()(stats)
app.command()(doctor)
app.command()(load)
app.command()(saturate)
app.command()(compare)
app.command()(chart)
app.command()(check)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pipeline-lab {version('pipeline-lab')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Start a pipeline of HTTP services, drive it with load, and measure it without fooling yourself."""


def run() -> None:
    """Run the command line and end this process: 0 if all went well, 1 if not, 2 if it was misused.

    Raises KeyboardInterrupt.
    """
    try:
        app()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        sys.exit(MISUSED if isinstance(error, BadParameter) else FAILED)
    except BrokenPipeError:  # `lab logs | head`
        sys.stderr.close()
        sys.exit(FAILED)
