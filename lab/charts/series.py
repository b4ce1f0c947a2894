"""Rows sorted for a chart: panels, in each panel series, in each series one point for each cell."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lab.charts.tooltips import cell_tip, trial_tips
from lab.measure.statistics import Interval, log_interval
from lab.names import LoadModel, TopologyName
from lab.results.counted import counted, uncounted
from lab.results.frame import require_cells_apart, require_columns

__all__ = ["Panel", "Point", "Series", "panels_of"]

_FACTORS = (
    "topology",
    "replicas",
    "policy",
    "balancer",
    "protocol",
    "placement",
    "client",
    "work",
    "work_ms",
    "work_distribution",
    "slots",
    "corpus",
    "payload_bytes",
    "load_model",
    "concurrency",
    "think_time_ms",
    "requested_rate",
    "tuning",
)
"""The factors that tell two curves apart. Duration and seed do not."""
_LABELS = {
    "replicas": "{} replicas",
    "work": "{} work",
    "work_ms": "{} ms of work",
    "work_distribution": "{} work",
    "slots": "{} slots",
    "payload_bytes": "texts of {} bytes",
    "load_model": "load model {}",
    "concurrency": "concurrency {}",
    "think_time_ms": "{} ms of think time",
    "requested_rate": "{} req/s requested",
}
_AXES = ("concurrency", "requested_rate")
_STRUCTURE = ("topology", "replicas", "work", "work_ms", "slots")
"""Factors that say which topology a row is of, as theory needs it."""
_OF_PARALLEL = ("replicas", "policy", "balancer", "tuning")
_UNTUNED = "no tuning"


@dataclass(frozen=True, slots=True)
class Point:
    """One column over the trials of one cell: the valid ones together, the invalid ones each."""

    x: float
    interval: Interval
    """The estimate by the valid trials, in the column's unit; NaN without a valid one."""
    invalid: tuple[float, ...]
    """One value for each invalid trial, NaN where the column is blank."""
    name: str
    """The series and the place, as a tooltip opens."""
    column: str
    rows: pd.DataFrame

    @property
    def tip(self) -> str:
        """What the estimate says under the pointer."""
        return cell_tip(self.name, self.column, self.rows, self.column)

    @property
    def invalid_tips(self) -> list[str]:
        """What each invalid trial says under the pointer."""
        return trial_tips(self.name, self.column, self.rows, self.column) if self.invalid else []


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: its name, the factor along its axis, and its rows."""

    name: str
    axis: str
    rows: pd.DataFrame

    @property
    def factors(self) -> Mapping[str, Any]:
        """The factors of all rows but for the axis' own, which is the first row's; None where blank."""
        first = self.rows.iloc[0]
        return {name: None if pd.isna(first[name]) else first[name] for name in _FACTORS}

    @property
    def places(self) -> list[float]:
        """The places on the axis that have rows, ascending."""
        return sorted({float(x) for x in self.rows[self.axis].dropna()})

    def at(self, x: float) -> pd.DataFrame:
        """Select the rows at that place on the axis."""
        return self.rows[self.rows[self.axis] == x]

    def points(self, column: str) -> Iterator[Point]:
        """Yield the points of a column along the axis, ascending."""
        require_columns(self.rows, column)
        for x in self.places:
            rows = self.at(x)
            invalid = tuple(uncounted(rows, column))
            name = f"{self.name}, {self.axis} {x:g}"
            yield Point(x, log_interval(counted(rows, column)), invalid, name, column, rows)


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows that agree in every factor but the series' and the axis'; `label` says what sets them apart."""

    label: str
    axis: str
    """The factor along the axis."""
    series: tuple[Series, ...]

    def named(self, name: str) -> Series | None:
        """Find the series of that name; None if there is none."""
        return next((series for series in self.series if series.name == name), None)


def panels_of(rows: pd.DataFrame, series: str = "topology") -> tuple[Panel, ...]:
    """Split rows into panels, one for each combination of what varies beside the series and the axis.

    A row to which a factor does not apply (the policy of a sequential topology) stands in the panels of all
    its levels, for comparison. Raises SchemaMismatch where the rows' file lacks a column that this needs, or
    one that told cells apart.
    """
    closed = rows["load_model"] == LoadModel.CLOSED
    axes = [name for name, has_it in zip(_AXES, (closed.any(), (~closed).any()), strict=True) if has_it]
    require_columns(rows, series, *_STRUCTURE, *axes)
    require_cells_apart(rows)
    told = rows.copy()
    told["tuning"] = told["tuning"].fillna(_UNTUNED)  # a blank is a level here, beside others
    for name in _OF_PARALLEL:
        told[name] = told[name].mask(told["topology"] == TopologyName.SEQUENTIAL)
    varied = [name for name in _FACTORS if name not in (series, *_AXES) and told[name].nunique() > 1]
    keys = [_known(key) for key in told[varied].drop_duplicates().to_dict("records")] if varied else [{}]
    whole = [key for key in keys if not any(key.items() < other.items() for other in keys)]
    return tuple(_panel(rows, told, series, key) for key in whole)


def _known(key: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Drop the factors that do not apply."""
    return {str(name): level for name, level in key.items() if not pd.isna(level)}


def _panel(rows: pd.DataFrame, told: pd.DataFrame, series: str, key: Mapping[str, Any]) -> Panel:
    inside = pd.Series(True, index=rows.index)
    for name, level in key.items():
        inside &= told[name].isna() | (told[name] == level).fillna(False)
    axis = next((name for name in _AXES if rows.loc[inside, name].notna().any()), _AXES[0])
    inside &= rows[axis].notna()
    of = told.loc[inside, series] if series == "tuning" else series
    groups = {str(name): group for name, group in rows[inside].groupby(of, sort=True)}
    for group in groups.values():
        group.attrs = rows.attrs  # which columns the file lacks: groupby forgets it
    names = sorted(groups, key=lambda name: (name == TopologyName.PARALLEL, name))
    label = ", ".join(_LABELS.get(name, "{}").format(level) for name, level in key.items())
    return Panel(label, axis, tuple(Series(name, axis, groups[name]) for name in names))
