"""Factors as a person types them, each by its column, a scalar or a list; and the grid of their levels.

A grid makes every combination of levels, less what says nothing there.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from itertools import product
from typing import Any

from lab.arrivals import LoadModel
from lab.errors import BadParameter
from lab.load.spec import WarmupMode
from lab.measure.factors import Combination, factor_columns, read_tuning
from lab.measure.measurement import Column
from lab.names import BalancerName, PlacementName, TopologyName
from services.balancer.settings import PolicyName
from services.names import ClientName, Distribution, ProtocolName, WorkKind, nearest

__all__ = ["Grid", "Level", "factor_names", "read_level", "read_levels", "unknown"]

Level = str | int | float
"""One value of a factor."""

# A sweep drives at one rate a trial: ramps and steps belong to the experiments that look along a trial.
_LOAD_MODELS = (LoadModel.CLOSED, LoadModel.CONSTANT, LoadModel.POISSON)
_CHOICES: Mapping[str, tuple[StrEnum, ...]] = {
    "topology": tuple(TopologyName),
    "policy": tuple(PolicyName),
    "balancer": tuple(BalancerName),
    "protocol": tuple(ProtocolName),
    "placement": tuple(PlacementName),
    "client": tuple(ClientName),
    "work": tuple(WorkKind),
    "work_distribution": tuple(Distribution),
    "load_model": _LOAD_MODELS,
    "warmup_mode": tuple(WarmupMode),
}
_WITH_COMMAS = ("work_ms", "corpus", "tuning")
_POSITIVE = ("requested_rate", "payload_bytes")
_LEAST = {"duration_s": 0.1}
_MOST = {"replicas": 1000, "concurrency": 10**6, "payload_bytes": 2**30, "slots": 10**6, "seed": 2**63 - 1}
"""Bounds beyond those of the columns: what is less or more is a slip of the finger, or fits no machine."""

_OF_AN_OPEN_LOOP = ("requested_rate",)
_OF_A_CLOSED_LOOP = ("concurrency", "think_time_ms")
_OF_BALANCERS = ("policy", "balancer", "tuning")
_OF_SERVICE_TIMES = ("work_ms", "work_distribution")
_OF_HTTP = ("client",)


def factor_names() -> tuple[str, ...]:
    """Return the name of every factor, in the order of the contract."""
    return tuple(_factors())


def read_levels(name: str, value: Any) -> tuple[Level, ...]:
    """Return the levels of a factor, without repeats, from a scalar, a list, or text with commas.

    `work_ms` keeps its commas ("0,0,40,0" is one level, a service time for each service), and so do the
    path of a corpus and the settings of `tuning`, a level of which may be a mapping; an empty one stands for
    none. Raises BadParameter for an unknown factor and for what does not fit it.
    """
    column = _factors().get(name)
    if column is None:
        raise unknown(name, factor_names())
    levels = tuple(dict.fromkeys(_read(column, each) for each in _each(name, value)))
    if not levels:
        raise BadParameter(f"{name} is an empty list: give it at least one of {_wanted(column)}")
    return levels


def read_level(name: str, value: Any) -> Level:
    """Return the one level of a factor that a value stands for. Raises BadParameter, for several too."""
    levels = read_levels(name, value)
    if len(levels) > 1:
        raise BadParameter(f"{name} cannot be {value!r}: here it takes one of these")
    return levels[0]


def unknown(name: str, valid: Iterable[str]) -> BadParameter:
    """Return the error for an unknown parameter, with the nearest valid name and all of them."""
    names = list(valid)
    near = nearest(name, names)
    hint = f" Did you mean {near}?" if near else ""
    return BadParameter(f"there is no parameter {name!r}.{hint} Valid are: {', '.join(names)}")


@cache
def _factors() -> dict[str, Column]:
    return {column.name: column for column in factor_columns()}


def _each(name: str, value: Any) -> list[Any]:
    if isinstance(value, str) and name not in _WITH_COMMAS:
        return [part.strip() for part in value.split(",")]
    return list(value) if isinstance(value, (list, tuple, set, range)) else [value]


def _read(column: Column, value: Any) -> Level:
    """Return a value as the column holds it. Raises BadParameter."""
    if column.name == "tuning":
        return str(read_tuning(value))
    choices = _CHOICES.get(column.name)
    read = (
        _choice(value, choices) if choices else {int: _whole, float: _number}.get(column.type, _text)(value)
    )
    if read is None or not _allowed(column, read):
        raise BadParameter(f"{column.name} cannot be {value!r}: it takes {_wanted(column)}")
    return read


def _choice(value: Any, choices: tuple[StrEnum, ...]) -> str | None:
    try:
        chosen = type(choices[0])(value)  # accepts an alias too
    except ValueError:
        return None
    return str(chosen) if chosen in choices else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):  # a number to Python, and to no person
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return re.sub(r"\s*,\s*", ",", value.strip()) if isinstance(value, str) else None


def _allowed(column: Column, value: Level) -> bool:
    if isinstance(value, str):
        return bool(re.fullmatch(column.constraints.get("pattern", ".+"), value))
    above = value > _least(column) if column.name in _POSITIVE else value >= _least(column)
    return above and value <= _MOST.get(column.name, value)


def _least(column: Column) -> float:
    return _LEAST.get(column.name, float(column.constraints.get("minimum", 0)))


def _wanted(column: Column) -> str:
    if column.name in _CHOICES:
        return " or ".join(_CHOICES[column.name])
    if column.name == "tuning":
        return "a mapping of settings, as {retry_ratio: 0}"
    if column.name == "work_ms":
        return "ms of every service, as 40, or of each, as 0,0,40,0"
    if column.type is str:
        return "a text"
    kind = "a whole number" if column.type is int else "a number"
    bound = "above" if column.name in _POSITIVE else "from"
    most = f" to {_MOST[column.name]}" if column.name in _MOST else ""
    return f"{kind} {bound} {_least(column):g}{most}"


@dataclass(frozen=True, slots=True)
class Grid:
    """The levels of each factor; a factor without a level is blank in the rows."""

    levels: Mapping[str, tuple[Level, ...]]

    def combinations(self) -> tuple[Combination, ...]:
        """Return every combination once, in the order of the contract's columns, the last factor fastest.

        A factor that says nothing beside the others (a policy without balancers, a concurrency in an open
        loop) is blanked, and combinations that differ in nothing else become one.
        """
        named = [name for name in factor_names() if name in self.levels]
        every = product(*(self.levels[name] for name in named))
        blanked = (_blanked(dict(zip(named, levels, strict=True))) for levels in every)
        return tuple({json.dumps(one): one for one in blanked}.values())

    def idle(self) -> tuple[str, ...]:
        """Return the factors of which no combination has a level."""
        combinations = self.combinations()
        return tuple(
            name for name, of in self.levels.items() if all(one[name] not in of for one in combinations)
        )


def _blanked(combination: dict[str, Any]) -> Combination:
    for name in _idle_in(combination):
        if name in combination:
            combination[name] = None
    if combination["topology"] == TopologyName.SEQUENTIAL and "replicas" in combination:
        combination["replicas"] = 1
    return combination


def _idle_in(combination: Combination) -> Iterator[str]:
    """Yield the factors that say nothing beside the rest of the combination."""
    yield from _OF_AN_OPEN_LOOP if combination["load_model"] == LoadModel.CLOSED else _OF_A_CLOSED_LOOP
    if combination["topology"] == TopologyName.SEQUENTIAL:
        yield from _OF_BALANCERS
    if combination.get("protocol") == ProtocolName.GRPC:
        yield from _OF_HTTP
    if combination["work"] == WorkKind.TEXT:
        yield from _OF_SERVICE_TIMES
    if combination["work_distribution"] == Distribution.NONE:
        yield "work_ms"
    if combination.get("tuning") == "":
        yield "tuning"
