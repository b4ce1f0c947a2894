"""Rows sorted for a chart: panels, in each panel series, in each series one point a cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lab.measure.statistics import Interval, log_interval
from lab.names import TopologyName

__all__ = ["Panel", "Point", "Series", "panels_of", "positive", "reasons", "valid"]

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
    "load_model": "load model {}",
    "concurrency": "concurrency {}",
    "think_time_ms": "{} ms of think time",
    "requested_rate": "{} req/s requested",
}
_AXES = ("concurrency", "requested_rate")
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
    """One curve: its name, the factor along its axis, and its rows."""

    name: str
    axis: str
    rows: pd.DataFrame

    @property
    def factors(self) -> Mapping[str, Any]:
        """The factors of its first row, None where blank: those of all its rows but for the axis'."""
        first = self.rows.iloc[0]
        return {name: None if pd.isna(first[name]) else first[name] for name in _FACTORS}

    @property
    def places(self) -> list[float]:
        """Where it has rows along the axis, ascending."""
        return sorted({float(x) for x in self.rows[self.axis].dropna()})

    def at(self, x: float) -> pd.DataFrame:
        """Its rows at that place on the axis."""
        return self.rows[self.rows[self.axis] == x]

    def points(self, column: str) -> Iterator[Point]:
        """Its points along the axis, ascending."""
        for x in self.places:
            rows = self.at(x)
            invalid = rows.loc[~valid(rows), column].astype(float)
            yield Point(x, log_interval(positive(rows, column)), tuple(invalid))


@dataclass(frozen=True, slots=True)
class Panel:
    """Rows that agree in every factor but the series' and the axis'. `label` says in what panels differ."""

    label: str
    axis: str
    """The factor along the axis."""
    series: tuple[Series, ...]

    def named(self, name: str) -> Series | None:
        """The series of that name, or None."""
        return next((series for series in self.series if series.name == name), None)


def valid(rows: pd.DataFrame) -> pd.Series[bool]:
    """Which rows can be believed."""
    return rows["valid"].astype(bool)


def reasons(rows: pd.DataFrame) -> list[str]:
    """Why rows are invalid, and how many each, most frequent first: "not_steady 2"."""
    named = Counter(reason for text in rows["invalid_reason"].dropna() for reason in str(text).split())
    return [f"{reason} {count}" for reason, count in named.most_common()]


def positive(rows: pd.DataFrame, column: str) -> list[float]:
    """What the valid rows hold in that column, but for blanks and noughts, which have no logarithm."""
    values = rows.loc[valid(rows), column].astype(float)
    return [float(value) for value in values if value > 0]


def panels_of(rows: pd.DataFrame, series: str = "topology") -> tuple[Panel, ...]:
    """The rows by everything that varies beside the series and the axis, each combination a panel.

    What does not apply to a row (the policy of a sequential topology) keeps it out of no panel: it stands
    in each, for comparison.
    """
    told = rows.copy()
    for name in _OF_PARALLEL:
        told[name] = told[name].mask(told["topology"] == TopologyName.SEQUENTIAL)
    varied = [name for name in _FACTORS if name not in (series, *_AXES) and told[name].nunique() > 1]
    keys = [_known(key) for key in told[varied].drop_duplicates().to_dict("records")] if varied else [{}]
    whole = [key for key in keys if not any(key.items() < other.items() for other in keys)]
    return tuple(_panel(rows, told, series, key) for key in whole)


def _known(key: Mapping[Hashable, Any]) -> dict[str, Any]:
    """The factors that apply."""
    return {str(name): level for name, level in key.items() if not pd.isna(level)}


def _panel(rows: pd.DataFrame, told: pd.DataFrame, series: str, key: Mapping[str, Any]) -> Panel:
    inside = pd.Series(True, index=rows.index)
    for name, level in key.items():
        inside &= told[name].isna() | (told[name] == level).fillna(False)
    axis = next((name for name in _AXES if rows.loc[inside, name].notna().any()), _AXES[0])
    inside &= rows[axis].notna()
    groups = {str(name): group for name, group in rows[inside].groupby(series, sort=True)}
    names = sorted(groups, key=lambda name: (name == TopologyName.PARALLEL, name))
    label = ", ".join(_LABELS.get(name, "{}").format(level) for name, level in key.items())
    return Panel(label, axis, tuple(Series(name, axis, groups[name]) for name in names))
