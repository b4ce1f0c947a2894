"""`lab check`: does a CSV keep the contract of columns?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["check"]


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="CSV…", help="Results of sweeps.")],
) -> None:
    """Hold committed results against results/schema.json's contract of columns."""
    from lab.results import csv_file

    for path in paths:
        typer.echo(f"{path}: {csv_file.check(path)} rows, all as the schema says")
