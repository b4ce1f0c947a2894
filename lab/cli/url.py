"""The commands that load a URL: `lab load` measures one load, `lab saturate` searches the highest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import (
    CPU,
    JSON,
    MOST_USERS,
    URL,
    BodyFile,
    BodyText,
    CAFile,
    HeaderLines,
    Method,
    PayloadBytes,
    Processes,
    Remote,
    Seed,
    Timeout,
    WindowTime,
)
from lab.measure.times import read_seconds
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
        typer.Option(
            min=1, max=MOST_USERS, help="Users of the closed loop: 1. Of an open one the most in flight: 256."
        ),
    ] = None,
    think_time: Annotated[
        str, typer.Option(metavar="TIME", help="Their pause after an answer; in ms where no unit is said.")
    ] = "0ms",
    duration: WindowTime = "10s",
    warmup: Annotated[
        str, typer.Option(metavar="TIME", help="How long to run before, uncounted, as in 1s.")
    ] = "1s",
    warmup_mode: Annotated[WarmupMode, typer.Option(help="Cut it there, or where the run settles.")] = (
        WarmupMode.FIXED
    ),
    method: Method = None,
    header: HeaderLines = None,
    body: BodyFile = None,
    body_text: BodyText = None,
    payload_bytes: PayloadBytes = None,
    timeout: Timeout = "30s",
    processes: Processes = 1,
    cpu: CPU = None,
    seed: Seed = 0,
    ca_file: CAFile = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 1 if this holds, as in 'p99>200ms' or 'errors>0'; may be repeated."),
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
        say,
    )
    from lab.errors import LabError
    from lab.load.spec import MOST_IN_FLIGHT, LoadSpec
    from lab.measure.conditions import Condition
    from lab.measure.percentiles import percentile_intervals

    conditions = [Condition.parse_failure(text) for text in fail_if or []]
    content = read_body(body, body_text, payload_bytes)
    spec = LoadSpec(
        url=url,
        load=read_load(arrivals, rate, concurrency, read_seconds("--think-time", think_time, bare="ms")),
        duration_s=read_seconds("--duration", duration, least=0.5),
        warmup_s=read_seconds("--warmup", warmup),
        warmup_mode=warmup_mode,
        seed=seed,
        method=(method or ("GET" if content is None else "POST")).upper(),
        headers=read_headers(header or []),
        body=content,
        read_timeout_s=read_seconds("--timeout", timeout, least=0.1),
        max_connections=(None if rate is None else concurrency) or MOST_IN_FLIGHT,
        processes=processes,
        cpus=read_cpus(cpu),
        ca_file=ca_file,
        remote=remote,
    )
    if csv:
        require_csv(csv, spec)
    measured, loaded = load_once(spec)
    unwritten = None
    try:
        measured = append_row(csv, spec, measured, loaded) if csv else measured
    except LabError as error:  # what was measured is printed all the same
        unwritten = error
    if as_json:
        say(json.dumps(measured.row(), default=datetime.isoformat))
    else:
        say(row_text(spec, measured, percentile_intervals(loaded)))
    if unwritten:
        raise unwritten
    broken = 0 if measured.outcome.succeeded else 1
    for condition in conditions:
        holds = condition.holds(measured)
        verdict = "cannot be told" if holds is None else "holds" if holds else "does not hold"
        typer.echo(f"{condition}: {verdict}" + ("" if holds is False else ", so the run fails"), err=True)
        broken += holds is not False
    if broken:
        raise typer.Exit(1)


def saturate(
    url: URL,
    slo: Annotated[
        list[str],
        typer.Option(
            help="What has to hold, as in p99=200ms or errors=0 (failed and dropped); may be repeated."
        ),
    ] = ["p99=200ms", "errors=0"],  # noqa: B006 (Typer reads it and changes nothing)
    arrivals: Annotated[
        LoadModel, typer.Option(help="constant or poisson: search a rate; closed: a concurrency.")
    ] = LoadModel.CONSTANT,
    guess: Annotated[float | None, typer.Option(help="Where the limit may be; saves a probe or two.")] = None,
    precision: Annotated[float, typer.Option(help="How closely to know it, as a share.")] = 0.03,
    probes: Annotated[int, typer.Option(min=2, max=1000, help="The most probes to make.")] = 8,
    duration: WindowTime = "5s",
    method: Method = None,
    header: HeaderLines = None,
    body: BodyFile = None,
    body_text: BodyText = None,
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
    from lab.cli.load_run import read_body, read_cpus, read_headers, say
    from lab.cli.saturation_run import search
    from lab.load.spec import LoadSpec
    from lab.measure.conditions import Condition
    from lab.saturation import SearchSpec

    content = read_body(body, body_text, payload_bytes)
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
        duration_s=read_seconds("--duration", duration, least=0.5),
    )
    found = search(wanted, base, csv, say=lambda line: say(line, err=as_json))
    if as_json:
        answer = {
            "highest_kept": found.highest_kept,
            "lowest_broken": found.lowest_broken,
            "ending": found.ending,
            "probes": [probe.row() for probe in found.probes],
        }
        say(json.dumps(answer, default=datetime.isoformat))
    else:
        say(found.sentence())
    if found.highest_kept is None:
        raise typer.Exit(1)
