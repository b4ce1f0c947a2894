"""The commands that read results: `lab compare`, `lab chart` and `lab check`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import JSON, require_between
from lab.errors import BadParameter, LabError

__all__ = ["chart", "check", "compare"]

TROUBLE = 2
"""How `lab compare` exits where there is nothing to compare."""


def compare(
    a: Annotated[Path, typer.Argument(metavar="A.csv", help="What was.")],
    b: Annotated[Path, typer.Argument(metavar="B.csv", help="What is.")],
    metric: Annotated[
        str, typer.Option(help="throughput_rps, or response_time_mean_ms, …_p50_ms, …_p99_ms.")
    ] = "throughput_rps",
    threshold: Annotated[
        float, typer.Option(min=0, help="The smallest change that counts, as a share.")
    ] = 0.05,
    undecided_ok: Annotated[
        bool, typer.Option("--undecided-ok", help="Exit with 0 also where too few trials compared nothing.")
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print what fits into a comment on a pull request.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Compare two results cell by cell, and exit as diff does: 1 where B is worse, 2 in trouble, else 0.

    Exits with 3 where no cell is worse, but in some B might as well do half of what A does.
    """
    from lab.cli.comparison_table import as_data, as_text, exit_code, metric_named
    from lab.results.csv_table import CsvTable

    try:
        chosen = metric_named(metric)
        require_between("--threshold", threshold, 0, 100)
        for path in (a, b):  # pandas is slow to import: what is no result is refused before
            CsvTable.read(path)
        from lab.compare import Report, compare_files

        compared = compare_files(a, b, chosen, threshold)
    except LabError as error:
        typer.echo(f"lab: {error}", err=True)
        raise typer.Exit(TROUBLE) from None
    _say(as_data(compared) if as_json else str(Report(compared)) if markdown else as_text(compared))
    raise typer.Exit(exit_code(compared, undecided_ok=undecided_ok))


def _say(text: str) -> None:
    """Print the text. That nobody reads it to its end is no failure."""
    try:
        typer.echo(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # What the stream still holds would fail again when Python ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def chart(
    results: Annotated[Path, typer.Argument(metavar="CSV", help="The result of a sweep.")],
    folder: Annotated[Path, typer.Option("--to", help="Where to write the pictures.")] = Path("build"),
) -> None:
    """Draw throughput, latency and where the time went of a result, and print what they say."""
    from lab.results.csv_table import CsvTable

    CsvTable.read(results)  # what cannot be drawn is refused before pandas and matplotlib are imported
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(f"--to {folder} cannot be made ({error.strerror}): name a folder") from None
    from lab import charts
    from lab.results import read

    rows = read(results)
    for name, draw in (
        ("throughput", charts.throughput),
        ("latency", charts.latency),
        ("where-the-time-went", charts.where_the_time_went),
    ):
        drawn, path = draw(rows), folder / f"{results.stem}-{name}.png"
        try:
            drawn.save(path)
        except OSError as error:
            _say(drawn.caption)
            raise BadParameter(f"{path} cannot be written ({error.strerror}): see --to") from None
        _say(f"{path}\n{drawn.caption}\n")


def check(
    paths: Annotated[list[Path], typer.Argument(metavar="CSV…", help="Results of sweeps.")],
) -> None:
    """Hold committed results against results/schema.json's contract of columns."""
    from lab import results

    for path in paths:
        _say(f"{path}: {results.check(path)} rows, all as the schema says")
