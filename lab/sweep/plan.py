"""The plan of a sweep: which cells, how often, in which order, for how long.

Planning starts nothing, and refuses whatever is wrong before anything starts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from inspect import signature
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, Never

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
from lab.results.csv_file import require_resumable
from lab.results.folder import HOME
from lab.sweep.levels import Grid, Level, factor_names, read_levels, unknown
from lab.sweep.presets import PresetName, preset_named
from lab.sweep.trial import Generators, load_spec, read_cores
from lab.sweep.windows import TrialWindow, Windows, predicted_rps
from lab.topology import Topology
from lab.trials import most_redone

__all__ = ["Plan", "plan_sweep", "results_folder", "seconds", "whole"]

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
    preset: PresetName = PresetName.DEFAULT
    """What it was planned from."""
    named: bool = False
    """Whether a person named it: then it leaves what a reviewer looks at beside its CSV."""

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

    @property
    def differing(self) -> dict[str, str]:
        """What is set otherwise than in the preset, as text by name; what varies and the trials aside."""
        usual = preset_named(self.preset).levels
        levels = {n: of for n, of in self.grid.levels.items() if len(of) == 1 and of != usual.get(n)}
        told = {name: str(of[0]) for name, of in levels.items()}
        told |= {name: str(value) for name, value in self.generators.parameters.items()}
        others = {"redo_invalid": (self.redo_invalid, True), "port_offset": (self.port_offset, 0)}
        return told | {name: str(value) for name, (value, default) in others.items() if value is not default}

    def __str__(self) -> str:
        cells = len(self.cells())
        varied = [
            f"{name} {', '.join(str(each) or 'none' for each in v)}"
            for name, v in self.grid.levels.items()
            if len(v) > 1
        ] or ["nothing varied"]
        told = [f"{name} {value}" for name, value in self.differing.items()]
        beside = f". Other than in the preset {self.preset}: {', '.join(told)}" if told else ""
        return (
            f"{cells} cells × {self.trials} trials ({'; '.join(varied)}), about {_long(self.expected_s)}, "
            f"into {self.folder / self.name}.csv{beside}"
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
REVIEW_MARK = "<!-- This file is written anew by each run of its sweep. -->"
"""How the NAME.md begins that a named sweep leaves (lab.sweep.review)."""
LONGEST_NAME = 200
"""Bytes of a name that leave room for what stands around it: a file's name has 255 at most."""


Texts = str | Sequence[str] | None
"""A level by name, or several: a list, or text with commas. None stays as in the preset."""
Wholes = int | str | Sequence[int] | None
Numbers = float | str | Sequence[float] | None
WorkTimes = float | str | Sequence[float | str] | None
Tunings = Mapping[str, object] | str | Sequence[Mapping[str, object] | str] | None


def plan_sweep(
    preset: str | None = None,
    *,
    name: str | None = None,
    trials: int | None = None,
    port_offset: int = 0,
    folder: str | Path = "results",
    redo_invalid: bool | int = True,
    processes: int = 1,
    cpu: int | str | Sequence[int] | None = None,
    topology: Texts = None,
    replicas: Wholes = None,
    policy: Texts = None,
    balancer: Texts = None,
    protocol: Texts = None,
    placement: Texts = None,
    client: Texts = None,
    work: Texts = None,
    work_ms: WorkTimes = None,
    work_distribution: Texts = None,
    slots: Wholes = None,
    corpus: Texts = None,
    payload_bytes: Wholes = None,
    load_model: Texts = None,
    concurrency: Wholes = None,
    think_time_ms: Numbers = None,
    requested_rate: Numbers = None,
    seed: Wholes = None,
    duration_s: Numbers = None,
    warmup_s: Numbers = None,
    warmup_mode: Texts = None,
    tuning: Tunings = None,
    **unknown_ones: Never,
) -> Plan:
    """Plan a sweep from a preset and what differs from it; a parameter that is None stays as in the preset.

    `processes` generators put the load on, and have the cores in `cpu` (1, "2,3" or a list) to themselves:
    servers are kept on the others. The others are factors, each one level or several. Raises BadParameter for
    a parameter that is unknown, does not fit, or would say nothing, CorpusError for a corpus that cannot be
    read, and ResultsError for a name that is another sweep's.
    """
    asked = {each: value for each, value in locals().items() if each in factor_names()}
    for strange in unknown_ones:
        raise unknown(strange, [each for each in signature(plan_sweep).parameters if each != "unknown_ones"])
    chosen = _preset_name(preset)
    base = preset_named(chosen)
    planned = Plan(
        _file_name(name),
        _grid(base.levels, asked),
        base.trials if trials is None else whole("trials", trials, 1),
        base.windows,
        results_folder(folder),
        whole("port_offset", port_offset, 0, MOST_OFFSET),
        redo_invalid if isinstance(redo_invalid, bool) else whole("redo_invalid", redo_invalid, 0),
        Generators(whole("processes", processes, 1, MOST_PROCESSES), read_cores(cpu)),
        chosen,
        named=name is not None,
    )
    _check(planned)
    if name is not None:
        require_resumable(planned.path, planned.parameters)
        _require_no_other(planned.path)
    return planned


def _grid(usual: Mapping[str, tuple[Level, ...]], asked: Mapping[str, Any]) -> Grid:
    """Return the grid of a preset's levels and those that were asked for instead. Raises BadParameter."""
    given = {each: read_levels(each, value) for each, value in asked.items() if value is not None}
    if given.get("tuning") == ("",):  # no tuning, as where nothing is said
        del given["tuning"]
    grid = Grid({**usual, **given})
    for idle in set(grid.idle()) & set(given):
        raise BadParameter(f"{idle} says nothing here: no cell of this sweep uses it")
    return grid


def _check(planned: Plan) -> None:
    """Refuse what does not fit together now, and not in the middle of the sweep."""
    if planned.generators.cores_of_servers and PlacementName.REMOTE in planned.grid.levels["placement"]:
        raise BadParameter("cpu says nothing of remote servers, which are wherever they are: leave it out")
    for combination in planned.grid.combinations():
        topology = _require_topology(combination, planned.port_offset)
        load_of(combination)
        window = planned.windows.of(combination)
        _require_answers(window, combination)
        factors = Factors(**{**combination, **asdict(window)})
        load_spec(factors, planned.generators, topology.entry_url, factors.seed or 0).check()
    for name in planned.grid.levels["corpus"]:
        requests.load_corpus(corpus_of(str(name)))


def _require_topology(combination: Combination, port_offset: int) -> Topology:
    """Return the topology of a cell.

    Raises BadParameter for factors that make none, NotSupported for tuning that nothing heeds.
    """
    try:
        topology = topology_of(combination).shifted(port_offset)
    except ValueError as error:
        raise BadParameter(str(error)) from None
    placement = PlacementName(combination["placement"])
    require_tunable(topology, placement, BalancerName(combination["balancer"] or BalancerName.BUILTIN))
    return topology


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
        return _name_by_time()
    if not isinstance(value, str):  # 1.10 is 1.1 to Python, and that may be the name of another sweep
        raise BadParameter(
            f'name cannot be {value!r}, a {type(value).__name__}: put it in quotes, "like-this"'
        )
    if not re.fullmatch(r"\w[\w.:-]*", value):
        raise BadParameter(
            f"name cannot be {value!r}: it takes letters, digits, dots, colons, - and _, as baseline-2026"
        )
    if len(value.encode()) > LONGEST_NAME:
        raise BadParameter(
            f"name cannot be {value[:40]}…, which has {len(value)} letters: files take up to {LONGEST_NAME}"
        )
    return value


def _require_no_other(csv: Path) -> None:
    """Raise BadParameter where NAME.md is a file that no sweep wrote, such as a README."""
    path = csv.with_suffix(".md")
    if path.exists() and not _is_review(path):
        raise BadParameter(f"{path} is there, and no sweep wrote it: choose another name")


def _is_review(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8").startswith(REVIEW_MARK)
    except (OSError, ValueError):
        return False


def _name_by_time() -> str:
    """Return a name that no other plan of this process has: a notebook may make several in one second."""
    now = f"sweep-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    names = chain([now], (f"{now}-{number}" for number in count(2)))
    name = next(each for each in names if each not in _NAMED)
    _NAMED.add(name)
    return name


_NAMED: set[str] = set()
"""Names by time that plans of this process have."""


def results_folder(value: str | Path) -> Path:
    """Return the folder, one that is there or can be made. Raises BadParameter."""
    if not isinstance(value, str | Path):
        raise BadParameter(f"folder cannot be {value!r}: it takes a path in quotes")
    folder = Path(value)
    for part in (folder, *folder.parents):
        if (HOME / part).exists() and not (HOME / part).is_dir():
            raise BadParameter(f"folder cannot be {value}: {part} is a file")
    return folder


def whole(name: str, value: object, least: int, most: int = 10**6) -> int:
    """Return the value of a parameter, a whole number within bounds. Raises BadParameter."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadParameter(f"{name} cannot be {value!r}: it takes a whole number from {least} to {most}")
    return value
