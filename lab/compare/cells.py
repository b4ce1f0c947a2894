"""Pair the cells of two results: which are the same cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from lab.errors import ResultsError
from lab.measure.factors import HOW_IT_WAS_MEASURED, factor_columns
from lab.names import TopologyName
from lab.results.counted import counted
from lab.results.frame import absent_columns

__all__ = ["Key", "Pairing", "Sides"]

Key = tuple[str, ...]
"""Levels of the factors that tell cells apart, in the order of `Pairing.factors`."""
Sides = tuple[list[float], list[float]]
"""One value for each trial of a cell, A's and B's."""

LOAD = ("load_model", "concurrency", "think_time_ms", "requested_rate", "payload_bytes")
"""Factors that cells must always share: the figures of unlike loads do not compare."""
_TOPOLOGIES = [str(name) for name in TopologyName]


@dataclass(frozen=True)
class Pairing:
    """The cells of two results, A and B, that can be compared.

    A factor that has one level throughout A and another throughout B is what was changed, and is left out of
    the comparison's keys, and so is one whose column a file lacks, if the cells of the other stay apart. In
    all other factors two cells must agree.
    """

    a: pd.DataFrame
    b: pd.DataFrame

    @cached_property
    def changed(self) -> dict[str, tuple[str, str]]:
        """Levels in A and in B of each factor that was changed; a blank is empty."""
        found = {}
        for name in _factors():
            if name not in (*LOAD, *HOW_IT_WAS_MEASURED):
                levels = [set(_text(frame[name])) for frame in (self.a, self.b)]
                if len(levels[0]) == len(levels[1]) == 1 and levels[0] != levels[1]:
                    found[name] = (levels[0].pop(), levels[1].pop())
        return found

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """The factors in which two cells must agree."""
        return tuple(name for name in self._comparable if name not in self.ignored)

    @cached_property
    def ignored(self) -> tuple[str, ...]:
        """Factors whose column one file lacks, and without which no cells of the other fall together."""
        kept = list(self._comparable)
        lacking = {*absent_columns(self.a), *absent_columns(self.b)}
        for name in (name for name in self._comparable if name in lacking):
            rest = [other for other in kept if other != name]
            if all(len(_keys(f, rest)) == len(_keys(f, kept)) for f in (self.a, self.b)):
                kept = rest
        return tuple(name for name in self._comparable if name not in kept)

    @cached_property
    def _comparable(self) -> tuple[str, ...]:
        in_neither = {*absent_columns(self.a)} & {*absent_columns(self.b)}
        left_out = {*HOW_IT_WAS_MEASURED, *self.changed, *in_neither}
        return tuple(name for name in _factors() if name not in left_out)

    def trials(self, metric: str) -> dict[Key, Sides]:
        """Return the metric in the valid trials of each cell that both have, A's and B's, sorted by factor.

        Raises ResultsError if the results have no cell in common.
        """
        of_a, of_b = self._values(self.a, metric), self._values(self.b, metric)
        shared = {key: (of_a[key], of_b[key]) for key in _sorted(of_a) if key in of_b}
        if not shared:
            raise ResultsError(
                "the two results have no cell in common, for want of a shared level of "
                f"{', '.join(self._differing()) or 'all factors at once'}: compare sweeps over the same loads"
            )
        return shared

    def failed(self) -> dict[Key, Sides]:
        """Return the share of requests that failed in each trial, valid or not; 1 where nothing succeeded."""
        of_a, of_b = self._failed(self.a), self._failed(self.b)
        return {key: (shares, of_b[key]) for key, shares in of_a.items() if key in of_b}

    def lonely(self) -> tuple[list[Key], list[Key]]:
        """Return the cells that only A has, and those that only B has."""
        of_a, of_b = _keys(self.a, self.factors), _keys(self.b, self.factors)
        return (
            [key for key in _sorted(of_a) if key not in of_b],
            [key for key in _sorted(of_b) if key not in of_a],
        )

    @cached_property
    def common(self) -> dict[str, str]:
        """The factors that have one level in all cells of both results, with that level; blank ones aside."""
        keys = [*_keys(self.a, self.factors), *_keys(self.b, self.factors)]
        levels = zip(self.factors, zip(*keys, strict=True), strict=True)
        return {name: of[0] for name, of in levels if of[0] and len(set(of)) == 1}

    @cached_property
    def telling(self) -> tuple[str, ...]:
        """The factors that tell the cells of both results apart."""
        return tuple(self.factors[place] for place in self._telling)

    def levels(self, key: Key) -> tuple[str, ...]:
        """Return the cell's levels of the factors that tell cells apart; a blank is empty."""
        return tuple(key[place] for place in self._telling)

    def label(self, key: Key) -> str:
        """Return the cell in words: its levels of the factors that tell the cells of both results apart."""
        told = zip(self.telling, self.levels(key), strict=True)
        return ", ".join(f"{name} {level}" for name, level in told if level) or "all"

    @cached_property
    def _telling(self) -> list[int]:
        """Places in a key that say something which the places before them leave open.

        The replicas and the balancer, for example, may follow from the topology.
        """
        keys = [*_keys(self.a, self.factors), *_keys(self.b, self.factors)]
        telling: list[int] = []
        for place in range(len(self.factors)):
            levels: dict[Key, set[str]] = {}
            for key in keys:
                levels.setdefault(tuple(key[t] for t in telling), set()).add(key[place])
            if any(len(open_ones) > 1 for open_ones in levels.values()):
                telling.append(place)
        return telling

    def _values(self, frame: pd.DataFrame, metric: str) -> dict[Key, list[float]]:
        return {key: counted(frame.iloc[rows], metric) for key, rows in _keys(frame, self.factors).items()}

    def _failed(self, frame: pd.DataFrame) -> dict[Key, list[float]]:
        counts = list(zip(frame["succeeded"].tolist(), frame["failed"].tolist(), strict=True))
        shares = [failed / (succeeded + failed) if succeeded else 1.0 for succeeded, failed in counts]
        return {key: [shares[n] for n in rows] for key, rows in _keys(frame, self.factors).items()}

    def _differing(self) -> list[str]:
        return [n for n in self.factors if not set(_text(self.a[n])) & set(_text(self.b[n]))]


def _keys(frame: pd.DataFrame, factors: Sequence[str]) -> dict[Key, list[int]]:
    """Return the numbers of each cell's rows, in order of first appearance."""
    rows: dict[Key, list[int]] = {}
    for number, key in enumerate(zip(*(_text(frame[name]) for name in factors), strict=True)):
        rows.setdefault(key, []).append(number)
    return rows


def _sorted(keys: Iterable[Key]) -> list[Key]:
    """Sort by factor after factor."""
    return sorted(keys, key=lambda key: [_place(level) for level in key])


def _place(level: str) -> tuple[float, str]:
    """Return what sorts levels: blanks, numbers by value, topologies as they are documented, other names."""
    if level in _TOPOLOGIES:
        return (_TOPOLOGIES.index(level), "")
    try:
        return (float(level) if level else -math.inf, "")
    except ValueError:
        return (math.inf, level)


def _factors() -> tuple[str, ...]:
    return tuple(column.name for column in factor_columns())


def _text(column: pd.Series) -> list[str]:
    """Return the levels as text; a blank is empty."""
    return [_level(value) for value in column.tolist()]


def _level(value: object) -> str:
    if pd.isna(value):  # type: ignore[call-overload]
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)
