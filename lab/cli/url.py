"""The commands that load a URL: `lab load` measures one load, `lab saturate` searches the highest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import (
    CPU,
    JSON,
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
from lab.names import LoadModel, WarmupMode

__all__ = ["load", "saturate"]


def load(
    url: URL,
    rate: Annotated[
        str | None, typer.Option(help="Requests a second; two for a ramp, several for steps, as in 100,500.")
    ] = None,
    arrivals: Annotated[
        LoadModel | None, typer.Option(help="How requests come: closed, or constant where there is a rate.")
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(min=1, help="Users of the closed loop: 1. Of an open one the most in flight: 256."),
    ] = None,
    think_time: Annotated[float, typer.Option(min=0, help="Their pause after an answer, in ms.")] = 0.0,
    duration: Annotated[float, typer.Option(min=0.5, help="Seconds measured.")] = 10.0,
    warmup: Annotated[float, typer.Option(min=0, help="Seconds run before, and not counted.")] = 1.0,
    warmup_mode: Annotated[WarmupMode, typer.Option(help="Cut it there, or where the run settles.")] = (
        WarmupMode.FIXED
    ),
    method: Method = None,
    header: HeaderLines = None,
    body: BodyFile = None,
    payload_bytes: PayloadBytes = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = 30.0,
    processes: Processes = 1,
    cpu: CPU = None,
    seed: Seed = 0,
    ca_file: CAFile = None,
    fail_if: Annotated[
        list[str] | None, typer.Option(help="Exit with 1 if this holds, as in 'p99>200ms'; may be repeated.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Append the row to this CSV, with its sidecar.")] = None,
    as_json: JSON = False,
    remote: Remote = False,
) -> None:
    """Load any URL and measure it: print the row that a sweep would write, and whether to believe it.

    Exits with 1 if nothing succeeded, or where --fail-if holds or cannot be told.
    """
    import json
    from datetime import datetime

    from lab.cli.load_run import (
        append_row,
        load_once,
        read_body,
        read_cpus,
        read_headers,
        read_load,
        require_csv,
        row_text,
    )
    from lab.load.spec import MOST_IN_FLIGHT, LoadSpec
    from lab.measure.conditions import Condition
    from lab.measure.percentiles import percentile_intervals

    conditions = [Condition.parse(text) for text in fail_if or []]
    content = read_body(body, payload_bytes)
    spec = LoadSpec(
        url=url,
        load=read_load(arrivals, rate, concurrency, think_time),
        duration_s=duration,
        warmup_s=warmup,
        warmup_mode=warmup_mode,
        seed=seed,
        method=(method or ("GET" if content is None else "POST")).upper(),
        headers=read_headers(header or []),
        body=content,
        read_timeout_s=timeout,
        max_connections=(concurrency if rate else None) or MOST_IN_FLIGHT,
        processes=processes,
        cpus=read_cpus(cpu),
        ca_file=ca_file,
        remote=remote,
    )
    if csv:
        require_csv(csv, spec)
    measured, loaded = load_once(spec)
    if csv:
        measured = append_row(csv, spec, measured, loaded)
    if as_json:
        typer.echo(json.dumps(measured.row(), default=datetime.isoformat))
    else:
        typer.echo(row_text(spec, measured, percentile_intervals(loaded)))
    broken = 0 if measured.outcome.succeeded else 1
    for condition in conditions:
        holds = condition.holds(measured)
        verdict = "cannot be told" if holds is None else "holds" if holds else "does not hold"
        typer.echo(f"{condition}: {verdict}", err=True)
        broken += holds is not False
    if broken:
        raise typer.Exit(1)


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
    probes: Annotated[int, typer.Option(min=2, help="The most probes to make.")] = 8,
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
    """Search the highest rate, or concurrency, at which a URL keeps a goal. Exits with 1 if none does."""
    import json
    from datetime import datetime

    from lab.arrivals import Closed
    from lab.cli.load_run import read_body, read_cpus, read_headers
    from lab.cli.saturation_run import search
    from lab.load.spec import LoadSpec
    from lab.measure.conditions import Condition
    from lab.saturation import SearchSpec

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
    wanted = SearchSpec(
        goal=tuple(Condition.parse(text) for text in slo),
        model=arrivals,
        guess=guess,
        precision=precision,
        most_probes=probes,
        duration_s=duration,
    )
    found = search(wanted, base, csv, say=lambda line: typer.echo(line, err=as_json))
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
