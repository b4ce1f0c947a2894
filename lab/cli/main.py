"""All commands under one name, and what becomes of errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lab.cli.benchmark import benchmark
from lab.cli.chart import chart
from lab.cli.check import check
from lab.cli.compare import compare
from lab.cli.doctor import doctor
from lab.cli.end import down, kill, restart
from lab.cli.load import load
from lab.cli.look import logs, stats
from lab.cli.saturate import saturate
from lab.cli.up import up
from lab.cli.validate import validate
from lab.errors import BadParameter, LabError

__all__ = ["app", "main"]

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""

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
app.command("test")(check)
app.command()(benchmark)
app.command()(logs)
app.command()(stats)
app.command()(doctor)
app.command()(load)
app.command()(saturate)
app.command()(compare)
app.command()(chart)
app.command("check")(validate)


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


def main() -> None:
    """Run the command line of this process and end it: 0 if all went well, 1 if not, 2 if it was misused."""
    try:
        app()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        sys.exit(MISUSED if isinstance(error, BadParameter) else FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # `lab logs | head`
        sys.stderr.close()
        sys.exit(FAILED)
