"""Conditions on a measurement as a person types them: `p99=200ms`, `errors<=1%`, `throughput>100`.

A quantity is mean, p50, p90, p95, p99, p99.9 or max (of the response_time: us, ms or s, ms where nothing is
said), errors (failed and dropped requests: a number, or a share with %) or throughput (requests a second).
`=` is the good side of a goal: at most for times and errors, at least for throughput.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import BadParameter
from lab.measure.columns import TrialOutcome
from lab.measure.measurement import Measurement
from lab.measure.percentiles import sample_floor

__all__ = ["Condition", "ConditionMetric"]


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
        """Read a condition as a person types it. Raises BadParameter, which names what can be typed."""
        found = _FORM.fullmatch(text.strip())
        if not found or found["quantity"] not in list(ConditionMetric):
            raise _misunderstood(text)
        quantity, unit = ConditionMetric(found["quantity"]), found["unit"]
        scale = _scales(quantity).get(unit)
        if scale is None:
            raise _misunderstood(text)
        good = ">=" if quantity is ConditionMetric.THROUGHPUT else "<="
        sign = good if found["sign"] == "=" else found["sign"]
        return cls(quantity, sign, float(found["value"]) * scale, is_share=unit == "%")

    @property
    def fewest_answers(self) -> int:
        """The fewest answers that can decide the condition."""
        if self.quantity.is_time and self.quantity.startswith("p"):
            return sample_floor(float(self.quantity.removeprefix("p")) / 100)
        return 1

    def holds(self, measurement: Measurement) -> bool | None:
        """Return whether the condition holds; None where the measurement leaves its quantity blank."""
        value = self._value_in(measurement.outcome)
        return None if value is None else _SIGNS[self.sign](value, self.value)

    def __str__(self) -> str:
        unit = " ms" if self.quantity.is_time else " %" if self.is_share else ""
        value = self.value * 100 if self.is_share else self.value
        return f"{self.quantity} {self.sign} {value:g}{unit}"

    def _value_in(self, outcome: TrialOutcome) -> float | None:
        if self.quantity is ConditionMetric.THROUGHPUT:
            return outcome.throughput_rps
        if self.quantity is ConditionMetric.ERRORS:
            errors = outcome.failed + outcome.dropped
            due = outcome.requests + outcome.dropped
            return errors / due if self.is_share and due else float(errors)
        name = f"response_time_{self.quantity.replace('.', '_')}_ms"
        value: float | None = getattr(outcome, name)
        return value


_FORM = re.compile(
    r"(?P<quantity>[a-z0-9.]+?)\s*(?P<sign><=|>=|<|>|=)\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s|%|)"
)
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _scales(quantity: ConditionMetric) -> Mapping[str, float]:
    """Return what each unit of a quantity is worth in the condition's own unit."""
    if quantity.is_time:
        return {"": 1.0, "us": 0.001, "ms": 1.0, "s": 1000.0}
    return {"": 1.0, "%": 0.01} if quantity is ConditionMetric.ERRORS else {"": 1.0}


def _misunderstood(text: str) -> BadParameter:
    return BadParameter(
        f"{text!r} is no condition: it takes one of {', '.join(ConditionMetric)}, a sign and a figure, "
        "as in p99=200ms, errors=0, errors<=1% or throughput>=100"
    )
