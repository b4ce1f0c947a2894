"""From what a person asks for to a plan: whatever is wrong with it is said here, before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from lab.errors import BadParameter
from lab.load import corpus
from lab.measure.factors import corpus_of, load_of, topology_of
from lab.names import PlacementName
from lab.sweep.generators import Generators, read_cores
from lab.sweep.grid import Grid
from lab.sweep.levels import factor_names, read_levels, unknown
from lab.sweep.plan import Plan
from lab.sweep.presets import PresetName, preset_named

__all__ = ["parameters_in", "plan_sweep"]

MOST_PROCESSES = 256
"""Each is to have at least one connection of an open loop."""
MOST_OFFSET = 50_000
"""Any port more would not exist."""


class _Setting(StrEnum):
    """What can be told beside the factors."""

    PRESET = "preset"
    NAME = "name"
    TRIALS = "trials"
    PORT_OFFSET = "port_offset"
    FOLDER = "folder"
    REDO_INVALID = "redo_invalid"
    PROCESSES = "processes"
    CPU = "cpu"


def parameters_in(names: Mapping[str, Any]) -> dict[str, Any]:
    """Those of these names that `plan_sweep` takes, with their values: of a notebook's `globals()`, say."""
    return {each: names[each] for each in (*_Setting, *factor_names()) if each in names}


def plan_sweep(
    preset: str | None = None,
    *,
    name: object = None,
    trials: object = None,
    port_offset: object = 0,
    folder: str | Path = "results",
    redo_invalid: bool = False,
    processes: object = 1,
    cpu: object = None,
    **factors: object,
) -> Plan:
    """A sweep from a preset and what differs from it; whatever is None stays as the preset has it.

    `processes` generators put the load on, and have the cores in `cpu` (1, "2,3" or a list) to themselves:
    servers are kept on the others.
    Raises BadParameter for a parameter that there is not, that does not fit, or that would say nothing, and
    CorpusError for a corpus that cannot be read.
    """
    base = preset_named(_preset_name(preset))
    for strange in factors.keys() - set(factor_names()):
        raise unknown(strange, [*_Setting, *factor_names()])
    given = {each: read_levels(each, value) for each, value in factors.items() if value is not None}
    grid = Grid({**base.levels, **given})
    for idle in set(grid.idle()) & set(given):
        raise BadParameter(f"{idle} says nothing here: no cell of this sweep uses it")
    planned = Plan(
        _file_name(name),
        grid,
        base.trials if trials is None else _whole("trials", trials, 1),
        base.windows,
        Path(folder),
        _whole("port_offset", port_offset, 0, MOST_OFFSET),
        redo_invalid,
        Generators(_whole("processes", processes, 1, MOST_PROCESSES), read_cores(cpu)),
    )
    _check(planned)
    return planned


def _check(planned: Plan) -> None:
    """Whatever does not fit together is told now, and not in the middle of the sweep."""
    if planned.generators.cores_of_servers and PlacementName.REMOTE in planned.grid.levels["placement"]:
        raise BadParameter("cpu says nothing of remote servers, which are wherever they are: leave it out")
    for combination in planned.grid.combinations():
        topology_of(combination).shifted(planned.port_offset)
        load_of(combination)
    for name in planned.grid.levels["corpus"]:
        corpus.load(corpus_of(str(name)))


def _preset_name(value: str | None) -> PresetName:
    try:
        return PresetName(value or PresetName.DEFAULT)
    except ValueError:
        raise BadParameter(f"there is no preset {value!r}: there are {', '.join(PresetName)}") from None


def _file_name(value: object) -> str:
    """The name given, or one that carries the time: only a given one can meet an earlier sweep and resume."""
    if value is None:
        return f"sweep-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    name = str(value)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise BadParameter(
            f"name cannot be {name!r}: it takes letters, digits, dots, - and _, as baseline-2026"
        )
    return name


def _whole(name: str, value: object, least: int, most: int = 10**6) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadParameter(f"{name} cannot be {value!r}: it takes a whole number from {least} to {most}")
    return value
