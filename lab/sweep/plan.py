"""The plan of a sweep: which cells, how often, in which order, for how long.

Planning starts nothing, and refuses whatever is wrong before anything starts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any

from lab.errors import BadParameter
from lab.load import requests
from lab.measure.columns import Factors
from lab.measure.factors import Combination, cell_id, corpus_of, load_of, topology_of
from lab.measure.measurement import Measurement
from lab.measure.percentiles import too_short_for
from lab.measure.row import Trial
from lab.measure.validity import is_spoilt
from lab.names import BalancerName, PlacementName
from lab.placement import require_tunable
from lab.results.folder import HOME
from lab.sweep.levels import Grid, Level, factor_names, read_levels, unknown
from lab.sweep.presets import PresetName, preset_named
from lab.sweep.trial import Generators, read_cores
from lab.sweep.windows import TrialWindow, Windows, predicted_rps
from lab.trials import most_redone

__all__ = ["Plan", "parameters_in", "plan_sweep", "seconds"]

OVERHEAD_S = 0.7
"""Seconds that a trial takes beside warm-up and window: start, stop, and the generator's process."""
PROCESSES_S = 1.5
"""Seconds more where every server is a process that starts and ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep that has not run yet; `name` is the name of its CSV in `folder`, without the suffix."""

    name: str
    grid: Grid
    trials: int
    windows: Windows
    folder: Path
    port_offset: int = 0
    """Added to every documented port, where those are taken."""
    redo_invalid: bool | int = True
    """How many further trials may make up for invalid ones, beside them: True stands for a third of all
    trials, False for none. What a further trial would suffer from too is not made up for."""
    generators: Generators = field(default_factory=Generators)

    @property
    def path(self) -> Path:
        """The path of the CSV. A relative folder is one of the checkout, from wherever a notebook runs."""
        return HOME / self.folder / f"{self.name}.csv"

    @property
    def parameters(self) -> dict[str, Any]:
        """All that makes two sweeps the same, ready for JSON: what is measured, and how often."""
        levels = {name: sorted(values, key=_place) for name, values in self.grid.levels.items()}
        told = {"trials": self.trials, "windows": asdict(self.windows)}
        return {**levels, **told, **self.generators.parameters}

    def cells(self) -> Mapping[str, Factors]:
        """Return the factors of every cell by its id, windows included, in the order of the grid."""
        found = {}
        for combination in self.grid.combinations():
            window = self.windows.of(combination)
            factors = Factors(**{**combination, **asdict(window)})
            found[cell_id(factors)] = factors
        return found

    def order(self) -> Iterator[tuple[Trial, Factors]]:
        """Yield every trial in the order of running: all cells once, shuffled, then all again, shuffled anew.

        Whatever drifts (heat, neighbours) hits all cells alike. The same seed gives the same order.
        """
        shuffler = random.Random(repr(self.grid.levels.get("seed")))
        cells = list(self.cells().items())
        for number in range(1, self.trials + 1):
            shuffler.shuffle(cells)
            yield from ((Trial(self.name, name, number), factors) for name, factors in cells)

    def left(self, rows: Sequence[Measurement]) -> list[tuple[Trial, Factors]]:
        """Return the trials that are still to be run where `rows` are there already."""
        done = {(row.what.cell_id, row.what.trial) for row in rows}
        left = [each for each in self.order() if (each[0].cell_id, each[0].number) not in done]
        return [*left, *islice(self._again(rows), max(0, self.most_redone - self.redone(rows)))]

    @property
    def most_redone(self) -> int:
        """How many further trials may make up for invalid ones: `redo_invalid`, or a third of all trials."""
        return most_redone(self.redo_invalid, self.trials * len(self.cells()))

    def redone(self, rows: Sequence[Measurement]) -> int:
        """Return how many of these rows made up for others already."""
        return sum(row.what.trial > self.trials for row in rows)

    def _again(self, rows: Sequence[Measurement]) -> Iterator[tuple[Trial, Factors]]:
        """Yield further trials of each cell that lacks valid ones, as many as it lacks."""
        for name, factors in self.cells().items():
            settled = {row.what.trial: _settled(row) for row in rows if row.what.cell_id == name}
            coming = sum(number not in settled for number in range(1, self.trials + 1))
            last = max(self.trials, *settled, 0)
            for number in range(last + 1, last + 1 + self.trials - coming - sum(settled.values())):
                yield Trial(self.name, name, number), factors

    @property
    def expected_s(self) -> float:
        """About how long the sweep takes, in seconds."""
        return sum(seconds(factors) for _, factors in self.order())

    def __str__(self) -> str:
        cells = len(self.cells())
        varied = [
            f"{name} {', '.join(map(str, v))}" for name, v in self.grid.levels.items() if len(v) > 1
        ] or ["nothing varied"]
        return (
            f"{cells} cells × {self.trials} trials ({'; '.join(varied)}), about {_long(self.expected_s)}, "
            f"into {self.folder / self.name}.csv"
        )

    def _repr_markdown_(self) -> str:
        return str(self)


def _settled(row: Measurement) -> bool:
    """Tell whether a trial need not be made up for: it is valid, or another would be as invalid."""
    return row.health.valid or not is_spoilt(row.health.invalid_reason)


def seconds(factors: Factors) -> float:
    """Return about how long a trial of these factors takes, in seconds."""
    processes_s = PROCESSES_S if factors.placement == PlacementName.PROCESSES else 0.0
    return (factors.warmup_s or 0.0) + factors.duration_s + OVERHEAD_S + processes_s


def _place(level: Level) -> tuple[str, float]:
    """Return the place of a level in order: levels given in another order make the same sweep."""
    return (level, 0.0) if isinstance(level, str) else ("", level)


def _long(duration_s: float) -> str:
    minutes, rest = divmod(round(duration_s), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


MOST_PROCESSES = 256
"""The most generators: each needs at least one connection of an open loop."""
MOST_OFFSET = 50_000
"""The largest offset with which all ports exist."""


class _Setting(StrEnum):
    """Parameters of a sweep beside the factors."""

    PRESET = "preset"
    NAME = "name"
    TRIALS = "trials"
    PORT_OFFSET = "port_offset"
    FOLDER = "folder"
    REDO_INVALID = "redo_invalid"
    PROCESSES = "processes"
    CPU = "cpu"


def parameters_in(names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names, with their values, that `plan_sweep` takes: of a notebook's `globals()`, say."""
    return {each: names[each] for each in (*_Setting, *factor_names()) if each in names}


def plan_sweep(
    preset: str | None = None,
    *,
    name: object = None,
    trials: object = None,
    port_offset: object = 0,
    folder: str | Path = "results",
    redo_invalid: object = True,
    processes: object = 1,
    cpu: object = None,
    **factors: object,
) -> Plan:
    """Plan a sweep from a preset and what differs from it; a parameter that is None stays as in the preset.

    `processes` generators put the load on, and have the cores in `cpu` (1, "2,3" or a list) to themselves:
    servers are kept on the others. Raises BadParameter for a parameter that is unknown, does not fit, or
    would say nothing, and CorpusError for a corpus that cannot be read.
    """
    base = preset_named(_preset_name(preset))
    for strange in factors.keys() - set(factor_names()):
        raise unknown(strange, [*_Setting, *factor_names()])
    given = {each: read_levels(each, value) for each, value in factors.items() if value is not None}
    if given.get("tuning") == ("",):  # no tuning, as where nothing is said
        del given["tuning"]
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
        redo_invalid if isinstance(redo_invalid, bool) else _whole("redo_invalid", redo_invalid, 0),
        Generators(_whole("processes", processes, 1, MOST_PROCESSES), read_cores(cpu)),
    )
    _check(planned)
    return planned


def _check(planned: Plan) -> None:
    """Refuse what does not fit together now, and not in the middle of the sweep."""
    if planned.generators.cores_of_servers and PlacementName.REMOTE in planned.grid.levels["placement"]:
        raise BadParameter("cpu says nothing of remote servers, which are wherever they are: leave it out")
    for combination in planned.grid.combinations():
        _require_topology(combination, planned.port_offset)
        load_of(combination)
        _require_answers(planned.windows.of(combination), combination)
    for name in planned.grid.levels["corpus"]:
        requests.load_corpus(corpus_of(str(name)))


def _require_topology(combination: Combination, port_offset: int) -> None:
    """Raise BadParameter for factors that make no topology, NotSupported for tuning that nothing heeds."""
    try:
        topology = topology_of(combination).shifted(port_offset)
    except ValueError as error:
        raise BadParameter(str(error)) from None
    placement = PlacementName(combination["placement"])
    require_tunable(topology, placement, BalancerName(combination["balancer"] or BalancerName.BUILTIN))


def _require_answers(window: TrialWindow, combination: Combination) -> None:
    """Refuse a window that is sure to be invalid: too short for the answers that a median needs.

    Raises BadParameter. Only a duration that was given can be: others are as long as that takes.
    """
    rate = predicted_rps(combination)
    if rate and (why := too_short_for(window.duration_s, rate)):
        level = combination["concurrency"] or f"{combination['requested_rate']:g}/s"
        raise BadParameter(
            f"duration_s {window.duration_s:g} is too short for {combination['topology']} at {level}: {why}, "
            "or leave it out"
        )


def _preset_name(value: str | None) -> PresetName:
    try:
        return PresetName(value or PresetName.DEFAULT)
    except ValueError:
        raise BadParameter(f"there is no preset {value!r}: there are {', '.join(PresetName)}") from None


def _file_name(value: object) -> str:
    """Return the name given, or one with the time: only a given name can meet an earlier sweep and resume."""
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
