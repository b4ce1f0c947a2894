"""The commands that read results: `lab compare`, `lab chart` and `lab check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import JSON

__all__ = ["chart", "check", "compare"]


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.csv", help="What was.")],
    b: Annotated[Path, typer.Argument(metavar="B.csv", help="What is.")],
    metric: Annotated[
        str, typer.Option(help="throughput_rps, or response_time_mean_ms, …_p50_ms, …_p99_ms.")
    ] = "throughput_rps",
    threshold: Annotated[
        float, typer.Option(min=0, help="The smallest change that counts, as a share.")
    ] = 0.05,
    as_json: JSON = False,
) -> None:
    """Compare two results cell by cell. Exits with 1 where B is shown to be worse, or fails where A did not.

    Exits with 0 otherwise, also where no cell has enough trials to show anything: the last lines tell.
    """
    from lab.cli.comparison_table import as_data, metric_named, print_comparison
    from lab.compare import compare_files

    compared = compare_files(a, b, metric_named(metric), threshold)
    if as_json:
        typer.echo(as_data(compared))
    else:
        print_comparison(compared)
    if compared.regressions:
        raise typer.Exit(1)


def chart(
    results: Annotated[Path, typer.Argument(metavar="CSV", help="The result of a sweep.")],
    folder: Annotated[Path, typer.Option("--to", help="Where to write the pictures.")] = Path("build"),
) -> None:
    """Draw throughput, latency and where the time went of a result, and print what they say."""
    from lab import charts
    from lab.results import read

    rows = read(results)
    for name, draw in (
        ("throughput", charts.throughput),
        ("latency", charts.latency),
        ("where-the-time-went", charts.where_the_time_went),
    ):
        drawn = draw(rows)
        typer.echo(drawn.save(folder / f"{results.stem}-{name}.png"))
        typer.echo(drawn.caption + "\n")


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="CSV…", help="Results of sweeps.")],
) -> None:
    """Hold committed results against results/schema.json's contract of columns."""
    from lab import results

    for path in paths:
        typer.echo(f"{path}: {results.check(path)} rows, all as the schema says")
