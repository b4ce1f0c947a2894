"""From what a person types about a URL and a load to the spec that a generator takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson, Ramp, Steps
from lab.errors import BadParameter
from lab.load.spec import PipelineBody

__all__ = ["read_body", "read_cpus", "read_headers", "read_load"]


def read_load(
    model: LoadModel | None, rate: str | None, concurrency: int | None, think_time_ms: float
) -> Load:
    """The load: closed unless a rate is given, then constant unless a model is named.

    `concurrency` is of a closed loop; that of an open one bounds its connections, which are not of its load.
    Raises BadParameter where one does not go with the other.
    """
    model = model or (LoadModel.CONSTANT if rate else LoadModel.CLOSED)
    if model is LoadModel.CLOSED:
        if rate:
            raise BadParameter("--rate does not go with a closed loop: its answers make its rate")
        return Closed(concurrency or 1, think_time_ms / 1000)
    if think_time_ms:
        raise BadParameter(f"--think-time does not go with --arrivals {model}: nobody waits for an answer")
    if not rate:
        raise BadParameter(f"--arrivals {model} needs a --rate, in requests a second")
    return _open(model, _rates(rate))


def read_headers(headers: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs from `Name: value`. Raises BadParameter for what is none."""
    pairs = []
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise BadParameter(f"--header {header!r} is none: write it as 'Name: value'")
        pairs.append((name.strip(), value.strip()))
    return tuple(pairs)


def read_body(file: Path | None, payload_bytes: int | None) -> PipelineBody | bytes | None:
    """What to send: a file's bytes, or a body as the pipeline takes it, or nothing."""
    if payload_bytes is not None:
        if file is not None:
            raise BadParameter("--body and --payload-bytes exclude each other: give one")
        return PipelineBody(payload_bytes)
    try:
        return file.read_bytes() if file else None
    except OSError as error:
        raise BadParameter(f"--body {file} cannot be read: {error.strerror}") from error


def read_cpus(text: str | None) -> tuple[int, ...]:
    """Cores from `1` or `2,3`. Raises BadParameter for what is none."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise BadParameter(f"--cpu is {text!r}: give numbers of cores, as in 1 or 2,3") from None


def _open(model: LoadModel, rates: tuple[float, ...]) -> Load:
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
