"""Rows sorted for a chart: panels, in each panel series, in each series one point a cell."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lab.measure.statistics import Interval, log_interval
from lab.topology import TopologyName

__all__ = ["Panel", "Point", "Series", "axis_of", "panels_of", "positive", "valid"]

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
)
"""What tells two curves apart. How long was looked, and with which seed, does not."""
_LABELS = {
    "replicas": "{} replicas",
    "work": "{} work",
    "work_ms": "{} ms of work",
    "work_distribution": "{} work",
    "slots": "{} slots",
    "payload_bytes": "texts of {} bytes",
    "load_model": "{} arrivals",
    "concurrency": "concurrency {}",
    "think_time_ms": "{} ms of think time",
    "requested_rate": "{} req/s requested",
}
_OF_PARALLEL = ("replicas", "policy", "balancer")


@dataclass(frozen=True, slots=True)
class Point:
    """The trials of one cell: what the valid ones say of a column, and what the invalid ones say of it."""

    x: float
    interval: Interval
    """Of the valid trials, in the column's unit; not a number without a valid one."""
    invalid: tuple[float, ...]
    """One for each invalid trial, NaN where it says nothing."""


@dataclass(frozen=True, slots=True)
class Series:
    """One curve: its name and its rows."""

    name: str
    rows: pd.DataFrame

    @property
    def factors(self) -> Mapping[str, Any]:
        """The factors of its first row, None where blank: those of all its rows but for the axis'."""
        first = self.rows.iloc[0]
        return {name: None if pd.isna(first[name]) else first[name] for name in _FACTORS}

    def at(self, axis: str, x: float) -> Series:
        """Its rows at that place on the axis."""
        return Series(self.name, self.rows[self.rows[axis] == x])

    def places(self, axis: str) -> list[float]:
        """Where it has rows along the axis, ascending."""
        return sorted({float(x) for x in self.rows[axis].dropna()})

    def points(self, axis: str, column: str) -> Iterator[Point]:
        """Its points along the axis, ascending."""
        for x in self.places(axis):
            rows = self.at(axis, x).rows
            invalid = rows.loc[~valid(rows), column].astype(float)
            yield Point(x, log_interval(positive(rows, column)), tuple(invalid))


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows that agree in every factor but the series' and the axis'. `label` says in what panels differ."""

    label: str
    series: tuple[Series, ...]

    def named(self, name: str) -> Series | None:
        """The series of that name, or None."""
        return next((series for series in self.series if series.name == name), None)


def valid(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows can be believed."""
    return rows["valid"].astype(bool)


def positive(rows: pd.DataFrame, column: str) -> list[float]:
    """What the valid rows hold in that column, but for blanks and noughts, which have no logarithm."""
    values = rows.loc[valid(rows), column].astype(float)
    return [float(value) for value in values if value > 0]


def axis_of(rows: pd.DataFrame) -> str:
    """The factor along the axis: the concurrency of a closed loop, else the requested rate."""
    return "concurrency" if rows["concurrency"].notna().any() else "requested_rate"


def panels_of(rows: pd.DataFrame, series: str = "topology") -> tuple[Panel, ...]:
    """The rows by everything that varies beside the series and the axis, each combination a panel.

    What does not apply to a row (the policy of a sequential topology) keeps it out of no panel: it stands
    in each, for comparison.
    """
    axis = axis_of(rows)
    kept = rows[rows[axis].notna()]
    told = kept.copy()
    for name in _OF_PARALLEL:
        told[name] = told[name].mask(told["topology"] == TopologyName.SEQUENTIAL)
    varied = [name for name in _FACTORS if name not in (series, axis) and told[name].nunique() > 1]
    keys = told[varied].drop_duplicates()
    whole = keys.dropna() if len(keys.dropna()) else keys
    return tuple(_panel(kept, told, series, key) for key in _records(whole)) or (Panel("", ()),)


def _records(keys: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return keys.to_dict("records") if len(keys.columns) else [{}]


def _panel(rows: pd.DataFrame, told: pd.DataFrame, series: str, key: Mapping[Hashable, Any]) -> Panel:
    inside = pd.Series(True, index=rows.index)
    for name, level in key.items():
        inside &= told[name].isna() | (told[name] == level).fillna(False)
    groups = {str(name): group for name, group in rows[inside].groupby(series, sort=True)}
    names = sorted(groups, key=lambda name: (name == TopologyName.PARALLEL, name))
    label = ", ".join(_LABELS.get(str(name), "{}").format(level) for name, level in key.items())
    return Panel(label, tuple(Series(name, groups[name]) for name in names))
