"""Conditions on a measurement as a person types them: `p99=200ms`, `errors<=1%`, `throughput>100`.

A quantity is mean, p50, p90, p95, p99, p99.9 or max (of the response_time: us, ms, s or min, ms where nothing
is said), errors (failed and dropped requests: a number, or a share with %) or throughput (requests a second).

A condition is typed as a goal, which is to hold, or as a failure, which is not. In a goal `=` is the good
side: at most for times and errors, at least for throughput. In a failure it would say the opposite of what
is meant, so there it is refused.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.errors import BadParameter
from lab.measure.times import LONGEST_S, UNITS_S, parse_seconds

if TYPE_CHECKING:
    from lab.measure.columns import TrialOutcome
    from lab.measure.measurement import Measurement

__all__ = ["Condition", "ConditionMetric"]


MOST = 1e12
"""Beyond it a number of requests, or of requests a second, is taken for a slip of the finger."""


class ConditionMetric(StrEnum):
    """Quantities that a condition can be about."""

    MEAN = "mean"
    P50 = "p50"
    P90 = "p90"
    P95 = "p95"
    P99 = "p99"
    P99_9 = "p99.9"
    MAX = "max"
    ERRORS = "errors"
    THROUGHPUT = "throughput"

    @property
    def is_time(self) -> bool:
        """Whether the quantity is a response_time."""
        return self not in (ConditionMetric.ERRORS, ConditionMetric.THROUGHPUT)


@dataclass(frozen=True, slots=True)
class Condition:
    """A quantity held against a figure: milliseconds, a number, requests a second, or a share of 1."""

    quantity: ConditionMetric
    sign: str
    """`<`, `<=`, `>` or `>=`."""
    value: float
    is_share: bool = False

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a goal that a person typed. Raises BadParameter, which names what can be typed."""
        _, condition = _condition(text, _GOALS)
        return condition

    @classmethod
    def parse_failure(cls, text: str) -> Condition:
        """Read a failure that a person typed. Raises BadParameter, also for `=`, naming the sign to take."""
        sign, condition = _condition(text, _FAILURES)
        if sign in ("=", "=="):
            figure = text.rpartition("=")[2].strip()
            raise BadParameter(
                f"{text!r} would fail the runs that are good: to fail the others, write "
                f"{condition.quantity}{condition.bad_sign}{figure}"
            )
        return condition

    @property
    def bad_sign(self) -> str:
        """The side of a figure on which this quantity is bad: `<` for throughput, `>` for all others."""
        return "<" if self.quantity is ConditionMetric.THROUGHPUT else ">"

    @property
    def holds_always(self) -> bool | None:
        """Whether every measurement meets the condition, or, if False, none does; None where it depends."""
        if self.value == 0 and self.sign in (">=", "<"):
            return self.sign == ">="
        if self.is_share and self.value == 1 and self.sign in ("<=", ">"):
            return self.sign == "<="
        return None

    @property
    def fewest_answers(self) -> int:
        """The fewest answers that can decide the condition."""
        if self.quantity.is_time and self.quantity.startswith("p"):
            from lab.measure.percentiles import (
                sample_floor,
            )  # with numpy, which no slip of the finger waits for

            return sample_floor(float(self.quantity.removeprefix("p")) / 100)
        return 1

    def holds(self, measurement: Measurement) -> bool | None:
        """Tell whether a measurement meets it; None where the measurement leaves that blank."""
        return self.holds_for(measurement.outcome)

    def holds_for(self, outcome: TrialOutcome) -> bool | None:
        """Tell whether an outcome meets it; None where the outcome leaves that blank."""
        value = self.value_in(outcome)
        return None if value is None else _SIGNS[self.sign](value, self.value)

    def __str__(self) -> str:
        unit = " ms" if self.quantity.is_time else " %" if self.is_share else ""
        value = self.value * 100 if self.is_share else self.value
        return f"{self.quantity} {self.sign} {value:g}{unit}"

    def value_in(self, outcome: TrialOutcome) -> float | None:
        """Return the figure of an outcome that is held against; None where the outcome leaves it blank."""
        """Return the figure of an outcome that is held against; None where the outcome leaves it blank."""
        if self.quantity is ConditionMetric.THROUGHPUT:
            return outcome.throughput_rps
        if self.quantity is ConditionMetric.ERRORS:
            errors = outcome.failed + outcome.dropped
            due = outcome.requests + outcome.dropped
            return errors / due if self.is_share and due else float(errors)
        name = f"response_time_{self.quantity.replace('.', '_')}_ms"
        value: float | None = getattr(outcome, name)
        return value


_FORM = re.compile(r"(?P<quantity>[^\s<>=!]+)\s*(?P<sign><=|>=|==|<|>|=)\s*(?P<figure>[^\s<>=!][^<>=!]*)")
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


_GOALS = "p99=200ms, errors=0, errors<=1% or throughput>=100"
_FAILURES = "p99>200ms, errors>0, errors>1% or throughput<100"


def _condition(text: str, examples: str) -> tuple[str, Condition]:
    """Return the sign as it was typed, and the condition, in which `=` is the good side."""
    found = _FORM.fullmatch(text.strip())
    if not found or (found["sign"] == "==" and examples is _GOALS):
        raise _misunderstood(text, "it takes a quantity, one of < <= > >= and a figure", examples)
    name, figure = found["quantity"].lower(), found["figure"].strip()
    if name not in list(ConditionMetric):
        raise _misunderstood(text, f"the quantities are {', '.join(ConditionMetric)}", examples)
    quantity = ConditionMetric(name)
    value = _value(quantity, figure)
    if value is None:
        raise _misunderstood(text, f"{figure!r} is no {_wanted(quantity)}", examples)
    good = ">=" if quantity is ConditionMetric.THROUGHPUT else "<="
    sign = found["sign"].replace("==", "=")
    condition = Condition(quantity, good if sign == "=" else sign, value, is_share=figure.endswith("%"))
    if (always := condition.holds_always) is not None:
        raise _misunderstood(
            text, f"it {'always' if always else 'never'} holds, so it tells nothing", examples
        )
    return sign, condition


def _value(quantity: ConditionMetric, figure: str) -> float | None:
    """Return the figure in the quantity's own unit; None for one that it cannot have."""
    if quantity.is_time:
        seconds = parse_seconds(figure, bare="ms")
        return None if seconds is None or seconds > LONGEST_S else round(seconds * 1000, 9)
    share = quantity is ConditionMetric.ERRORS and figure.endswith("%")
    number = figure.removesuffix("%").rstrip() if share else figure
    if not re.fullmatch(r"(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", number, re.IGNORECASE):
        return None
    value = float(number) / 100 if share else float(number)
    return value if value <= (1.0 if share else MOST) else None


def _wanted(quantity: ConditionMetric) -> str:
    if quantity.is_time:
        return f"time ({', '.join(UNITS_S)})"
    return (
        "number or share up to 100%" if quantity is ConditionMetric.ERRORS else "number of requests a second"
    )


def _misunderstood(text: str, why: str, examples: str) -> BadParameter:
    return BadParameter(f"{text!r} is no condition: {why}, as in {examples}")
