"""What a sweep is going to do: which cells, how often, in which order, for how long. It starts nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lab.measure.columns import Factors
from lab.measure.measurement import Measurement
from lab.measure.row import Trial
from lab.names import PlacementName
from lab.results.folder import HOME
from lab.sweep.generators import Generators
from lab.sweep.grid import Grid, cell_id
from lab.sweep.levels import Level
from lab.sweep.windows import Windows

__all__ = ["Plan", "seconds"]

OVERHEAD_S = 0.7
"""Roughly what a trial takes beside warm-up and window: start, stop, and the generator's process."""
PROCESSES_S = 1.5
"""And as much more where every server is a process that starts and ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A sweep that has not run yet. `name` is that of its CSV in `folder`, without the suffix."""

    name: str
    grid: Grid
    trials: int
    windows: Windows
    folder: Path
    port_offset: int = 0
    """Added to every documented port: for where these are taken."""
    redo_invalid: bool = False
    """Whether a sweep that goes on makes up for its invalid trials, by further ones beside them."""
    generators: Generators = field(default_factory=Generators)

    @property
    def path(self) -> Path:
        """Where the rows go. A relative folder is one of the checkout, from wherever a notebook runs."""
        return HOME / self.folder / f"{self.name}.csv"

    @property
    def parameters(self) -> dict[str, Any]:
        """What makes two sweeps the same, as JSON has it: all that says what is measured, and how often."""
        levels = {name: sorted(values, key=_place) for name, values in self.grid.levels.items()}
        told = {"trials": self.trials, "windows": asdict(self.windows)}
        return {**levels, **told, **self.generators.parameters}

    def cells(self) -> Mapping[str, Factors]:
        """The factors of every cell by its id, windows included, in the order of the grid."""
        found = {}
        for combination in self.grid.combinations():
            window = self.windows.of(combination)
            factors = Factors(**{**combination, **asdict(window)})
            found[cell_id(factors)] = factors
        return found

    def order(self) -> Iterator[tuple[Trial, Factors]]:
        """Every trial in the order of running: all cells once, shuffled, then all again, shuffled anew.

        So whatever drifts (heat, neighbours) hits all cells alike. The same seed gives the same order.
        """
        shuffler = random.Random(repr(self.grid.levels.get("seed")))
        cells = list(self.cells().items())
        for number in range(1, self.trials + 1):
            shuffler.shuffle(cells)
            yield from ((Trial(self.name, name, number), factors) for name, factors in cells)

    def left(self, rows: Sequence[Measurement]) -> list[tuple[Trial, Factors]]:
        """What is still to be run where these rows are there already."""
        done = {(row.what.cell_id, row.what.trial) for row in rows}
        left = [each for each in self.order() if (each[0].cell_id, each[0].number) not in done]
        return [*left, *self._again(rows)] if self.redo_invalid else left

    def _again(self, rows: Sequence[Measurement]) -> Iterator[tuple[Trial, Factors]]:
        """Of each cell as many further trials as its valid ones, and those not run yet, fall short."""
        for name, factors in self.cells().items():
            valid = {row.what.trial: row.health.valid for row in rows if row.what.cell_id == name}
            coming = sum(number not in valid for number in range(1, self.trials + 1))
            last = max(self.trials, *valid, 0)
            for number in range(last + 1, last + 1 + self.trials - coming - sum(valid.values())):
                yield Trial(self.name, name, number), factors

    @property
    def expected_s(self) -> float:
        """About how long it will take, in seconds."""
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


def seconds(factors: Factors) -> float:
    """About how long a trial of these factors takes, in seconds."""
    processes_s = PROCESSES_S if factors.placement == PlacementName.PROCESSES else 0.0
    return (factors.warmup_s or 0.0) + factors.duration_s + OVERHEAD_S + processes_s


def _place(level: Level) -> tuple[str, float]:
    """Numbers by size, texts by letters: in which order levels were given makes no other sweep."""
    return (level, 0.0) if isinstance(level, str) else ("", level)


def _long(duration_s: float) -> str:
    minutes, rest = divmod(round(duration_s), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
