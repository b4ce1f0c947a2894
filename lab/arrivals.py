"""Load models, and the schedules of intended starts that they make: pure and seeded, without a clock."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lab.errors import BadParameter
from lab.names import LoadModel

__all__ = [
    "Closed",
    "Constant",
    "Load",
    "LoadModel",
    "Poisson",
    "Ramp",
    "Schedule",
    "Steps",
    "load_from_json",
    "load_to_json",
    "require_schedulable",
    "require_time",
]

Nanoseconds: TypeAlias = NDArray[np.int64]

LONGEST_S = 604_800.0
"""A week, in seconds: a longer time is a slip of the finger, and histograms end there."""
MOST_USERS = 1_000_000
MOST_DUE = 50_000_000
"""Most intended starts of one schedule: every generator makes it whole, in some seconds and 2 GB."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Intended starts, in nanoseconds from the start of the run, ascending. Empty for the closed loop.

    `digest` tells two schedules apart: it covers the model, its parameters and every intended start.
    """

    intended_ns: Nanoseconds
    digest: str

    def __len__(self) -> int:
        return len(self.intended_ns)

    def part(self, index: int, parts: int) -> Nanoseconds:
        """Return the share of one of several generators: every `parts`-th intended start, from `index` on."""
        return self.intended_ns[index::parts]


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed loop: `concurrency` users who each think `think_time_s` between an answer and a request."""

    concurrency: int
    think_time_s: float = 0.0

    model = LoadModel.CLOSED

    def __post_init__(self) -> None:
        users, wanted = self.concurrency, f"a whole number from 1 to {MOST_USERS:,}"
        _require(1 <= users <= MOST_USERS and users == int(users), "concurrency", users, wanted)
        require_time("think_time_s", self.think_time_s)

    @property
    def requested_rate(self) -> None:
        """None: a closed loop asks for no rate."""
        return None

    def schedule(self, warmup_s: float, duration_s: float, seed: int = 0) -> Schedule:
        """Return a schedule without intended starts, as answers make them. The digest covers the rest."""
        require_schedulable(self, warmup_s, duration_s)
        return _schedule(self, np.empty(0, dtype=np.int64), warmup_s, duration_s, seed)


@dataclass(frozen=True, slots=True)
class _SteadyLoad:
    """An open loop of one rate, in requests a second."""

    rate: float

    def __post_init__(self) -> None:
        _require_rate("rate", self.rate)

    @property
    def requested_rate(self) -> float:
        """Requests a second; on average, where they come by chance."""
        return self.rate


@dataclass(frozen=True, slots=True)
class Constant(_SteadyLoad):
    """An open loop of `rate` requests a second, evenly spaced."""

    model = LoadModel.CONSTANT

    def schedule(self, warmup_s: float, duration_s: float, seed: int = 0) -> Schedule:
        """Return a start every 1/rate s over warm-up and window, each rounded on its own: no drift."""
        require_schedulable(self, warmup_s, duration_s)
        total = warmup_s + duration_s
        return _schedule(self, _along([(self.rate, self.rate, total)]), warmup_s, duration_s, seed)


@dataclass(frozen=True, slots=True)
class Poisson(_SteadyLoad):
    """An open loop of `rate` independent requests a second on average: gaps are exponential."""

    model = LoadModel.POISSON

    def schedule(self, warmup_s: float, duration_s: float, seed: int = 0) -> Schedule:
        """Draw gaps by inversion, -ln(1 - u) / rate (Devroye 1986, II.2), each rounded to nanoseconds."""
        require_schedulable(self, warmup_s, duration_s)
        end = round((warmup_s + duration_s) * 1e9)
        stream = np.random.Generator(np.random.PCG64(seed))
        batch = max(64, int(self.rate * (warmup_s + duration_s) * 1.1))
        times = np.empty(0, dtype=np.int64)
        while len(times) == 0 or times[-1] < end:
            gaps = -np.log1p(-stream.random(batch)) * (1e9 / self.rate)
            gaps = np.rint(np.minimum(gaps, end)).astype(np.int64)  # at low rates one fits no int
            times = np.concatenate([times, (times[-1] if len(times) else 0) + np.cumsum(gaps)])
        return _schedule(self, times[times < end], warmup_s, duration_s, seed)


@dataclass(frozen=True, slots=True)
class Ramp:
    """An open loop whose rate goes straight from `start_rate` (warm-up too) to `end_rate` over the window."""

    start_rate: float
    end_rate: float

    model = LoadModel.RAMP

    def __post_init__(self) -> None:
        _require_rate("start_rate", self.start_rate)
        _require_rate("end_rate", self.end_rate)

    @property
    def requested_rate(self) -> float:
        """Mean requests a second over the window."""
        return (self.start_rate + self.end_rate) / 2

    def schedule(self, warmup_s: float, duration_s: float, seed: int = 0) -> Schedule:
        """Return a start wherever the integral of the rate passes a whole number."""
        require_schedulable(self, warmup_s, duration_s)
        pieces = [(self.start_rate, self.start_rate, warmup_s), (self.start_rate, self.end_rate, duration_s)]
        return _schedule(self, _along(pieces), warmup_s, duration_s, seed)


@dataclass(frozen=True, slots=True)
class Steps:
    """An open loop of one rate after the other, for equal shares of the window; warm-up runs at the first."""

    rates: tuple[float, ...]

    model = LoadModel.STEPS

    def __post_init__(self) -> None:
        _require(len(self.rates) > 0, "rates", self.rates, "at least one rate")
        for rate in self.rates:
            _require_rate("rates", rate)

    @property
    def requested_rate(self) -> float:
        """Mean requests a second over the window."""
        return sum(self.rates) / len(self.rates)

    def schedule(self, warmup_s: float, duration_s: float, seed: int = 0) -> Schedule:
        """Return a start wherever the integral of the rate passes a whole number."""
        require_schedulable(self, warmup_s, duration_s)
        share = duration_s / len(self.rates)
        pieces = [(self.rates[0], self.rates[0], warmup_s), *((rate, rate, share) for rate in self.rates)]
        return _schedule(self, _along(pieces), warmup_s, duration_s, seed)


Load: TypeAlias = Closed | Constant | Poisson | Ramp | Steps

_MODELS: tuple[type[Load], ...] = (Closed, Constant, Poisson, Ramp, Steps)
_BY_NAME: Mapping[LoadModel, Callable[..., Load]] = {kind.model: kind for kind in _MODELS}


def load_to_json(load: Load) -> dict[str, Any]:
    """Return the load as plain data: its model's name beside its parameters."""
    return {"model": str(load.model), **asdict(load)}


def load_from_json(data: Mapping[str, Any]) -> Load:
    """Read what `load_to_json` gave. Raises BadParameter for an unknown model or parameter."""
    parameters = {key: tuple(v) if isinstance(v, list) else v for key, v in data.items() if key != "model"}
    try:
        return _BY_NAME[LoadModel(data["model"])](**parameters)
    except (KeyError, TypeError, ValueError) as error:
        raise BadParameter(
            f"load {dict(data)} is not understood: {error}; models are {[*LoadModel]}"
        ) from error


def require_schedulable(load: Load, warmup_s: float, duration_s: float) -> None:
    """Check that a load can have a schedule over that time. Raises BadParameter."""
    require_time("warmup_s", warmup_s)
    require_time("duration_s", duration_s)
    due = (load.requested_rate or 0.0) * (warmup_s + duration_s)
    if due > MOST_DUE:
        raise BadParameter(
            f"rate is {load.requested_rate:g}: that makes {due:.2g} requests, and a schedule holds "
            f"{MOST_DUE:,}; ask for less, or for a shorter time"
        )


def require_time(name: str, seconds: float, least: float = 0.0) -> None:
    """Check a time in seconds: `least` or more, and at most a week. Raises BadParameter."""
    _require(
        least <= seconds <= LONGEST_S,
        name,
        seconds,
        f"a number of seconds, {least:g} or more, at most a week",
    )


def _along(pieces: Sequence[tuple[float, float, float]]) -> Nanoseconds:
    """Return evenly spaced intended starts along pieces of (rate at its start, at its end, seconds).

    The n-th request is due where the integral of the rate reaches n, found in closed form on each piece:
    r0 t + (r1 - r0) t^2 / (2 T) = n.
    """
    found: list[NDArray[np.float64]] = []
    begin = passed = 0.0
    for first, last, seconds in pieces:
        if seconds <= 0:
            continue
        area = (first + last) / 2 * seconds
        # A hair's breadth, so that 60 s at 2,000/s are 120,000 requests and not one more.
        numbers = np.arange(math.ceil(passed - 1e-6), math.ceil(passed + area - 1e-6)) - passed
        slope = (last - first) / seconds
        # Stable for any slope, none included: 2 n / (r0 + sqrt(r0^2 + 2 slope n)).
        found.append(begin + 2 * numbers / (first + np.sqrt(np.maximum(first**2 + 2 * slope * numbers, 0.0))))
        begin, passed = begin + seconds, passed + area
    times = np.concatenate(found) if found else np.empty(0)
    return np.maximum(np.rint(times * 1e9), 0).astype(np.int64)


def _schedule(
    load: Load, intended_ns: Nanoseconds, warmup_s: float, duration_s: float, seed: int
) -> Schedule:
    facts = {**load_to_json(load), "warmup_s": warmup_s, "duration_s": duration_s, "seed": seed}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(intended_ns.astype("<i8").tobytes())
    return Schedule(intended_ns, digest.hexdigest()[:16])


def _require_rate(name: str, rate: float) -> None:
    _require(math.isfinite(rate) and rate > 0, name, rate, "a number of requests a second above 0")


def _require(good: bool, name: str, value: object, wanted: str) -> None:
    if not good:
        raise BadParameter(f"{name} is {value}: it must be {wanted}")
