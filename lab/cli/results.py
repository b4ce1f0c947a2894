"""`lab compare`: is B better or worse than A?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.choices import JSON

__all__ = ["compare"]


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

    And with 0 otherwise, also where no cell has enough trials to show anything: the last lines tell.
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
