"""`lab chart`: the pictures of a result, as a notebook shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["chart"]


def chart(
    results: Annotated[Path, typer.Argument(metavar="CSV", help="The result of a sweep.")],
    folder: Annotated[Path, typer.Option("--to", help="Where to write the pictures.")] = Path("build"),
) -> None:
    """Draw throughput, latency and where the time went of a result, and print what they say."""
    from lab import charts
    from lab.results.csv_file import read

    rows = read(results)
    for name, draw in (
        ("throughput", charts.throughput),
        ("latency", charts.latency),
        ("where-the-time-went", charts.where_the_time_went),
    ):
        drawn = draw(rows)
        typer.echo(drawn.save(folder / f"{results.stem}-{name}.png"))
        typer.echo(drawn.caption + "\n")
