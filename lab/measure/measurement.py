"""One trial as one row: the groups of columns together, to cells and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from datetime import datetime
from functools import cache
from types import UnionType
from typing import Any, ClassVar, get_args, get_type_hints

from lab.errors import SchemaMismatch
from lab.measure.columns import Against, Factors, TimeSpent, TrialHealth, TrialOutcome, What

__all__ = ["Cell", "Column", "Measurement"]

Cell = str | int | float | bool | datetime | None
"""The value of a column in a row; None is blank."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the contract: its name, group, type, meaning, first version and constraints."""

    name: str
    group: str
    type: type
    required: bool
    description: str
    since: int
    """The version of the format that brought it."""
    constraints: Mapping[str, Any]

    def parse(self, text: str) -> Cell:
        """Return the cell that `text` of a CSV stands for. Raises SchemaMismatch, naming the column."""
        if text == "":
            if self.required:
                raise SchemaMismatch(f"column {self.name} is blank, and every row needs it")
            return None
        try:
            parsed: Cell = _PARSERS.get(self.type, self.type)(text)
        except (KeyError, ValueError) as error:
            wanted = self.type.__name__
            raise SchemaMismatch(f"column {self.name} holds {text!r}, which is not a {wanted}") from error
        return parsed


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A row of a result: what was run, what became of it, and whether it can be believed.

    The groups hold the columns (`measurement.outcome.throughput_rps`); `row()` lists them flat, in the order
    of the contract.
    """

    what: What
    factors: Factors
    outcome: TrialOutcome
    spent: TimeSpent = field(default_factory=TimeSpent)
    health: TrialHealth
    against: Against = field(default_factory=Against)

    GROUPS: ClassVar[Mapping[str, type[Any]]] = {
        "what": What,
        "factors": Factors,
        "outcome": TrialOutcome,
        "spent": TimeSpent,
        "health": TrialHealth,
        "against": Against,
    }

    @classmethod
    def columns(cls) -> tuple[Column, ...]:
        """Return every column, in the order of the contract."""
        return _columns()

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Measurement:
        """Return the measurement that a row of text stands for; a column that `row` lacks is blank.

        Raises SchemaMismatch, naming the column, for a cell that does not fit it.
        """
        groups: dict[str, dict[str, Cell]] = {name: {} for name in cls.GROUPS}
        for column in cls.columns():
            groups[column.group][column.name] = column.parse(row.get(column.name) or "")
        return cls(**{name: group(**groups[name]) for name, group in cls.GROUPS.items()})

    def row(self) -> dict[str, Cell]:
        """Return the cell of every column by its name, in the order of the contract."""
        return {column.name: getattr(getattr(self, column.group), column.name) for column in self.columns()}

    def without(self, columns: Iterable[str]) -> Measurement:
        """Return a copy in which these columns are blank, and the verdicts that hang on them."""
        blank = set(columns)
        if "throughput_rps" in blank:
            blank.add("verdict_throughput")
        if "response_time_p50_ms" in blank:
            blank.add("verdict_latency")
        groups: dict[str, Any] = {
            name: replace(
                getattr(self, name), **{each.name: None for each in fields(group) if each.name in blank}
            )
            for name, group in self.GROUPS.items()
        }
        return Measurement(**groups)

    def invalidated(self, reasons: Iterable[str]) -> Measurement:
        """Return a copy marked invalid for `reasons`, without latency and verdicts; the rest stays.

        What services measured on their own clocks stays too: a late generator does not falsify it.
        Raises ValueError without a reason.
        """
        named = " ".join(sorted(set(reasons)))
        if not named:
            raise ValueError("a measurement is invalid for a reason, and none was given")
        latency: dict[str, Any] = {
            f.name: None for f in fields(TrialOutcome) if f.name.startswith(("response_time", "service_time"))
        }
        return replace(
            self,
            outcome=replace(self.outcome, **latency),
            spent=replace(self.spent, overhead_ms=None),
            health=replace(self.health, valid=False, invalid_reason=named),
            against=replace(self.against, verdict_throughput=None, verdict_latency=None),
        )


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_PARSERS: Mapping[type, Callable[[str], Cell]] = {
    float: _finite,
    bool: {"true": True, "True": True, "false": False, "False": False}.__getitem__,
    datetime: datetime.fromisoformat,
}


@cache
def _columns() -> tuple[Column, ...]:
    return tuple(_each_column())


def _each_column() -> Iterator[Column]:
    for group, of in Measurement.GROUPS.items():
        types = get_type_hints(of)
        for each in fields(of):
            yield Column(
                each.name,
                group,
                _bare(types[each.name]),
                required=not _has_default(each),
                description=each.metadata["description"],
                since=each.metadata["since"],
                constraints=each.metadata["constraints"],
            )


def _bare(hint: Any) -> type:
    """Return the type without its `| None`."""
    bare: type = (
        next(t for t in get_args(hint) if t is not type(None)) if isinstance(hint, UnionType) else hint
    )
    return bare


def _has_default(of: Field[Any]) -> bool:
    return of.default is None
