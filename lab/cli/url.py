"""The commands that load a URL: `lab load` measures one load, `lab saturate` searches the highest.

The functions `_read_…` turn what was typed into what a LoadSpec takes. What is slow to import is imported
only once that is done, so that a slip of the finger is answered at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.options import (
    CPU,
    INTERRUPTED,
    JSON,
    MOST_BYTES,
    MOST_USERS,
    URL,
    BodyFile,
    BodyText,
    CAFile,
    CertFile,
    HeaderLines,
    KeyFile,
    Method,
    PayloadBytes,
    Processes,
    Remote,
    Seed,
    Timeout,
    WindowTime,
    require_between,
    require_writable,
)
from lab.errors import BadParameter
from lab.measure.times import read_seconds
from lab.names import LoadModel, WarmupMode

if TYPE_CHECKING:
    from lab.arrivals import Load
    from lab.load.spec import LoadSpec, PipelineBody

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
    cert: CertFile = None,
    key: KeyFile = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(help="Exit with 1 if this holds, as in 'p99>200ms' or 'errors>0'; may be repeated."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Append the row to this CSV, with its sidecar.")] = None,
    keep_interrupted: Annotated[
        bool, typer.Option("--keep-interrupted", help="Append it also if Ctrl-C cut the run short.")
    ] = False,
    show_invalid: Annotated[
        bool, typer.Option("--show-invalid", help="Print figures that are not to be believed, marked so.")
    ] = False,
    as_json: JSON = False,
    remote: Remote = False,
) -> None:
    """Load any URL and measure it: print the row that a sweep would write, and whether to believe it.

    Ctrl-C ends the run and prints what there is. Exits with 1 if nothing succeeded, or where --fail-if
    holds or cannot be told, and with 130 after Ctrl-C.
    """
    from lab.measure.conditions import Condition

    conditions = [Condition.parse_failure(text) for text in fail_if or []]
    think_time_s = read_seconds("--think-time", think_time, bare="ms")
    times = {
        "duration_s": read_seconds("--duration", duration, least=0.5),
        "warmup_s": read_seconds("--warmup", warmup),
        "read_timeout_s": read_seconds("--timeout", timeout, least=0.1),
    }
    if csv:
        require_writable(csv)
    target = _Target(
        url=url,
        method=method,
        headers=_read_headers(header or []),
        body=_read_body(body, body_text, payload_bytes),
        processes=processes,
        cpus=_read_cpus(cpu),
        seed=seed,
        ca_file=ca_file,
        cert_file=cert,
        key_file=key,
        remote=remote,
        max_connections=None if rate is None else concurrency,
    )
    spec = target.spec(
        _read_load(arrivals, rate, concurrency, think_time_s), warmup_mode=warmup_mode, **times
    )
    _require_answers(spec)

    from lab.cli.load_report import say_conditions
    from lab.cli.load_run import Output, load_and_print

    output = Output(csv=csv, keep_interrupted=keep_interrupted, show_invalid=show_invalid, as_json=as_json)
    try:
        measured, loaded = load_and_print(spec, output)
    except KeyboardInterrupt:
        typer.echo("lab: interrupted before anything was measured", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if loaded.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not say_conditions(conditions, measured) or not measured.outcome.succeeded:
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
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=MOST_USERS, help="Of an open loop the most in flight: 256.")
    ] = None,
    guess: Annotated[float | None, typer.Option(help="Where the limit may be; saves a probe or two.")] = None,
    precision: Annotated[float, typer.Option(help="How closely to know it, as a share.")] = 0.03,
    probes: Annotated[int, typer.Option(min=2, max=1000, help="The most probes to make.")] = 8,
    duration: WindowTime = "5s",
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
    cert: CertFile = None,
    key: KeyFile = None,
    csv: Annotated[Path | None, typer.Option(help="Keep every probe as a row of this new CSV.")] = None,
    as_json: JSON = False,
    remote: Remote = False,
) -> None:
    """Search the highest rate, or concurrency, at which a URL keeps a goal. Exits with 1 if none does."""
    import json
    from datetime import datetime

    from lab.measure.conditions import Condition

    if concurrency and arrivals is LoadModel.CLOSED:
        raise BadParameter("--concurrency does not go with --arrivals closed, which searches for it")
    goal = tuple(Condition.parse(text) for text in slo)
    duration_s = read_seconds("--duration", duration, least=0.5)
    timeout_s = read_seconds("--timeout", timeout, least=0.1)
    require_between("--guess", guess, 0.001, MOST_USERS)
    require_between("--precision", precision, 0.001, 0.5)
    if csv:
        require_writable(csv)
    target = _Target(
        url=url,
        method=method,
        headers=_read_headers(header or []),
        body=_read_body(body, body_text, payload_bytes),
        processes=processes,
        cpus=_read_cpus(cpu),
        seed=seed,
        ca_file=ca_file,
        cert_file=cert,
        key_file=key,
        remote=remote,
        max_connections=concurrency,
    )
    from lab.arrivals import Closed

    base = target.spec(Closed(processes), read_timeout_s=timeout_s)

    from lab.cli.load_report import say
    from lab.cli.saturation_run import search
    from lab.saturation import Ending, SearchSpec

    wanted = SearchSpec(
        goal=goal,
        model=arrivals,
        guess=guess,
        precision=precision,
        most_probes=probes,
        duration_s=duration_s,
    )
    found, unwritten = search(wanted, base, csv, say=lambda line: say(line, err=as_json))
    if as_json:
        answer = {
            "highest_kept": found.highest_kept,
            "lowest_broken": found.lowest_broken,
            "ending": found.ending,
            "shortage": found.shortage,
            "probes": [probe.row() for probe in found.probes],
        }
        say(json.dumps(answer, default=datetime.isoformat))
    else:
        say(found.sentence())
    if unwritten:
        raise unwritten
    if found.ending is Ending.INTERRUPTED:
        raise typer.Exit(INTERRUPTED)
    if found.highest_kept is None:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What is loaded, and from where: the options that both commands have, as they were typed."""

    url: str
    method: str | None
    headers: tuple[tuple[str, str], ...]
    body: PipelineBody | bytes | None
    processes: int
    cpus: tuple[int, ...]
    seed: int
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    remote: bool
    max_connections: int | None

    def spec(self, load: Load, **more: Any) -> LoadSpec:
        """Return the spec of a load on it, which may be run. Raises as `LoadSpec.check`."""
        from lab.load.spec import MOST_IN_FLIGHT, LoadSpec

        typed = {each.name: getattr(self, each.name) for each in fields(self)}
        usual = "GET" if self.body is None else "POST"
        typed["method"] = (usual if self.method is None else self.method).upper()
        typed["max_connections"] = self.max_connections or MOST_IN_FLIGHT
        spec = LoadSpec(load=load, **typed, **more)
        spec.check()
        return spec


def _require_answers(spec: LoadSpec) -> None:
    """Refuse an open loop that is sure to be invalid. Raises BadParameter, with the arithmetic."""
    from lab.measure.percentiles import too_short_for

    rate = spec.load.requested_rate
    if rate and (why := too_short_for(spec.duration_s, rate)):
        raise BadParameter(f"--duration {spec.duration_s:g}s is too short: {why}, or a higher --rate")


def _read_load(
    model: LoadModel | None, rate: str | None, concurrency: int | None, think_time_s: float
) -> Load:
    """Return the load that was typed: closed without a rate, constant with one, unless a model is named.

    `concurrency` counts for a closed loop only; in an open one it bounds the connections. Raises BadParameter
    for options that exclude each other.
    """
    model = model or (LoadModel.CLOSED if rate is None else LoadModel.CONSTANT)
    if model is LoadModel.CLOSED:
        if rate is not None:
            raise BadParameter("--rate does not go with a closed loop: its answers make its rate")
        from lab.arrivals import Closed

        return Closed(concurrency or 1, think_time_s)
    if think_time_s:
        raise BadParameter(
            f"--think-time does not go with --arrivals {model}: no request waits for an answer"
        )
    if rate is None:
        raise BadParameter(f"--arrivals {model} needs a --rate, in requests a second")
    return _open(model, _rates(rate))


def _read_headers(headers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the pairs of `Name: value` lines. Raises BadParameter for any other line."""
    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise BadParameter(f"--header {header!r} is no header: write it as 'Name: value'")
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def _read_body(file: Path | None, text: str | None, payload_bytes: int | None) -> PipelineBody | bytes | None:
    """Return what to send: the bytes of a file or of a text, a body for the pipeline, or None.

    Raises BadParameter for more than one of them, and for a file that cannot be read or is too large.
    """
    named = {"--body": file, "--body-text": text, "--payload-bytes": payload_bytes}
    given = [name for name, value in named.items() if value is not None]
    if len(given) > 1:
        raise BadParameter(f"{' and '.join(given)} exclude each other: give one")
    if payload_bytes is not None:
        from lab.load.spec import PipelineBody

        return PipelineBody(payload_bytes)
    if text is not None:
        return text.encode(errors="surrogateescape")
    return _content(file) if file is not None else None


def _content(file: Path) -> bytes:
    try:
        if file.is_char_device():  # /dev/zero never ends
            raise BadParameter(f"--body {file} is a device: name a file, or send a text with --body-text")
        with file.open("rb") as opened:
            content = opened.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadParameter(f"--body {file} cannot be read ({error.strerror}): {_meant(str(file))}") from error
    if len(content) > MOST_BYTES:
        raise BadParameter(f"--body {file} is too large: a body has at most {MOST_BYTES:,} bytes")
    return content


def _meant(name: str) -> str:
    """Return what to do about a name that is no file: it may be the body itself, or as curl names files."""
    if name.startswith("@"):
        return f"write {name[1:]}, without the @"
    looks = name.lstrip()[:1] in ("{", "[", '"') or "=" in name
    return "send a text itself with --body-text" if looks else "name a file, or send a text with --body-text"


def _read_cpus(text: str | None) -> tuple[int, ...]:
    """Return the cores in a text such as `1` or `2,3`. Raises BadParameter for any other text."""
    try:
        cores = tuple(int(part) for part in text.split(",")) if text is not None else ()
    except ValueError:
        cores = (-1,)
    last = (os.cpu_count() or 1) - 1
    if not all(0 <= core <= last for core in cores):
        raise BadParameter(f"--cpu is {text!r}: give numbers of cores, as in 1 or 2,3, from 0 to {last}")
    return cores


def _open(model: LoadModel, rates: tuple[float, ...]) -> Load:
    from lab.arrivals import Constant, Poisson, Ramp, Steps

    match model, rates:
        case LoadModel.STEPS, _:
            return Steps(rates)
        case LoadModel.RAMP, (first, last):
            return Ramp(first, last)
        case LoadModel.POISSON, (rate,):
            return Poisson(rate)
        case LoadModel.CONSTANT, (rate,):
            return Constant(rate)
    wanted = "two rates, as in 100,500" if model is LoadModel.RAMP else "one rate, as in 200"
    raise BadParameter(f"--arrivals {model} takes {wanted}, and got {len(rates)}")


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadParameter(f"--rate is {text!r}: give requests a second, as in 200, or 100,500") from None
