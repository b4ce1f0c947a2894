"""`lab saturate`: how much can this URL bear before it breaks a goal?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.choices import JSON
from lab.cli.options import (
    CPU,
    URL,
    BodyFile,
    CAFile,
    HeaderLines,
    Method,
    PayloadBytes,
    Processes,
    Remote,
    Seed,
)
from lab.load.models import LoadModel

__all__ = ["saturate"]


def saturate(
    url: URL,
    slo: Annotated[
        list[str], typer.Option(help="What has to hold, as in p99=200ms or errors=0; may be repeated.")
    ] = ["p99=200ms", "errors=0"],  # noqa: B006 (Typer reads it and changes nothing)
    arrivals: Annotated[
        LoadModel, typer.Option(help="constant or poisson: search a rate; closed: a concurrency.")
    ] = LoadModel.CONSTANT,
    guess: Annotated[float | None, typer.Option(help="Where the limit may be; saves a probe or two.")] = None,
    precision: Annotated[float, typer.Option(help="How closely to know it, as a share.")] = 0.03,
    probes: Annotated[int, typer.Option(min=2, help="At most so many.")] = 8,
    duration: Annotated[float, typer.Option(min=0.5, help="Seconds measured in a probe.")] = 5.0,
    method: Method = None,
    header: HeaderLines = None,
    body: BodyFile = None,
    payload_bytes: PayloadBytes = None,
    processes: Processes = 1,
    cpu: CPU = None,
    seed: Seed = 0,
    ca_file: CAFile = None,
    csv: Annotated[Path | None, typer.Option(help="Keep every probe as a row of this new CSV.")] = None,
    as_json: JSON = False,
    remote: Remote = False,
) -> None:
    """Search the highest rate, or concurrency, at which a URL keeps a goal. Exits with 1 if there is none."""
    import json
    from datetime import datetime

    from lab.arrivals import Closed
    from lab.cli.saturation_run import search
    from lab.cli.target import read_body, read_cpus, read_headers
    from lab.load.spec import LoadSpec
    from lab.measure.conditions import Condition
    from lab.saturation import Question

    content = read_body(body, payload_bytes)
    base = LoadSpec(
        url=url,
        load=Closed(processes),
        method=(method or ("GET" if content is None else "POST")).upper(),
        headers=read_headers(header or []),
        body=content,
        processes=processes,
        cpus=read_cpus(cpu),
        seed=seed,
        ca_file=ca_file,
        remote=remote,
    )
    question = Question(
        goal=tuple(Condition.parse(text) for text in slo),
        model=arrivals,
        guess=guess,
        precision=precision,
        most_probes=probes,
        duration_s=duration,
    )
    found = search(question, base, csv, say=lambda line: typer.echo(line, err=as_json))
    if as_json:
        answer = {
            "highest_kept": found.highest_kept,
            "lowest_broken": found.lowest_broken,
            "ending": found.ending,
            "probes": [probe.row() for probe in found.probes],
        }
        typer.echo(json.dumps(answer, default=datetime.isoformat))
    else:
        typer.echo(found.sentence())
    if found.highest_kept is None:
        raise typer.Exit(1)
