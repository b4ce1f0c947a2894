"""The command `lab benchmark`: how fast is what is up, and is that what the documents say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import INTERRUPTED, JSON, MOST_USERS, Processes, UpOffset, UpProtocol, WindowTime
from lab.errors import BadParameter
from lab.measure.times import read_seconds

if TYPE_CHECKING:
    from lab.measure.measurement import Measurement

__all__ = ["benchmark"]

MOST_TRIALS = 10_000
"""More is taken for a slip of the finger."""


def benchmark(
    concurrency: Annotated[
        str | None, typer.Option(help="Requests in flight, as in 1,32; else the documented one, and 32.")
    ] = None,
    duration: WindowTime = "4s",
    trials: Annotated[
        int, typer.Option(min=1, max=MOST_TRIALS, help="Repetitions; two or more give an interval.")
    ] = 3,
    processes: Processes = 1,
    cpu: Annotated[
        str | None,
        typer.Option(help="Cores for the generators alone, as in 1 or 2,3."),
    ] = None,
    redo_invalid: Annotated[
        int | None,
        typer.Option(min=0, help="Further trials for those that others spoilt; else up to a third of all."),
    ] = None,
    as_json: JSON = False,
    offset: UpOffset = None,
    protocol: UpProtocol = None,
) -> None:
    """Drive what is up with a closed loop, and judge it against the documented figures."""
    import json
    from datetime import datetime

    duration_s = read_seconds("--duration", duration, least=0.5)
    asked = _levels(concurrency) if concurrency is not None else []
    from lab.cli.benchmark_run import run_benchmark
    from lab.cli.state import find_upkeep
    from lab.cli.summary import print_summary, summaries
    from lab.expectations import expected_of
    from lab.placement.cores import moved_to
    from lab.sweep.trial import Generators, read_cores

    generators = Generators(processes, read_cores(cpu))
    upkeep = find_upkeep(offset, protocol)
    options = upkeep.options
    expected = expected_of(options.topology)
    levels = asked or sorted({expected.concurrency if expected else 1, 32})
    rows: list[Measurement] = []
    interrupted = False
    try:
        with moved_to(generators.cores_of_servers, upkeep.pid):
            redone = True if redo_invalid is None else redo_invalid
            run_benchmark(upkeep, levels, duration_s, trials, generators, rows.append, redo_invalid=redone)
    except KeyboardInterrupt:  # what was measured is printed all the same
        interrupted = True
    found = summaries(rows)
    if as_json:
        typer.echo(json.dumps([row.row() for row in rows], default=datetime.isoformat))
    else:
        print_summary(options.topology, found)
    if interrupted:
        typer.echo(f"lab: interrupted after {len(rows)} of {trials * len(levels)} trials", err=True)
        raise typer.Exit(INTERRUPTED)
    if any(summary.failed or not summary.valid for summary in found):
        raise typer.Exit(1)


def _levels(text: str) -> list[int]:
    try:
        levels = [int(part) for part in text.split(",")]
    except ValueError:
        levels = []
    if not levels or not all(1 <= level <= MOST_USERS for level in levels):
        raise BadParameter(
            f"--concurrency is {text!r}: give whole numbers from 1 to {MOST_USERS:,}, as in 1,8,32"
        )
    return levels
