"""Write numbers with as many digits as they need, and never so few that a number contradicts its sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["SAME", "interval_text", "number", "numbers", "trimmed"]

LEAST = 3
"""Significant digits, beside all those before the point."""
MOST = 9
"""Decimals beyond which two numbers count as equal."""
SAME = 1e-9
"""The relative difference below which a number and an edge are equal: sums of floats differ by less."""


def number(value: float, digits: int = LEAST) -> str:
    """Write a number with that many significant digits and all those before the point, never an exponent.

    A blank one (nan) is written "–".
    """
    return _written(value, _decimals(value, digits))


def numbers(*values: float, edges: Iterable[float] = (), digits: int = LEAST) -> list[str]:
    """Write numbers so that each stays on its side of every edge: 4.003 beside an edge at 4 is not "4.00".

    All get the same decimals where one needs more than `number` gives it.
    """
    known = [edge for edge in edges if math.isfinite(edge)]
    each = [_decimals(value, digits) for value in values]
    needed = [_decimals_apart(value, own, known) for value, own in zip(values, each, strict=True)]
    raised = max((n for n, own in zip(needed, each, strict=True) if n > own), default=0)
    return [_written(value, max(own, raised)) for value, own in zip(values, each, strict=True)]


def trimmed(text: str) -> str:
    """Drop zeros at the end that are behind a point: "32.00" is a level of 32."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def interval_text(estimate: float, low: float, high: float, edges: Iterable[float] = ()) -> str:
    """Write an estimate and its interval, "99.1 (98.7–99.5)"; without an end that is known the estimate."""
    if math.isnan(estimate):
        return "–"
    if math.isnan(low) or math.isnan(high):
        return numbers(estimate, edges=edges)[0]
    middle, first, last = numbers(estimate, low, high, edges=edges)
    return f"{middle} ({first}–{last})"


def _decimals(value: float, digits: int) -> int:
    if not math.isfinite(value) or value == 0:
        return 0
    before = math.floor(math.log10(abs(value))) + 1
    decimals = max(0, digits - before)
    carried = abs(round(value, decimals)) >= 10.0**before  # 9.996 is 10.0
    return max(0, decimals - 1) if carried else decimals


def _decimals_apart(value: float, decimals: int, edges: Iterable[float]) -> int:
    """Return how many decimals keep the value on its side of every edge, unless it is equal to one."""
    for edge in edges:
        if not math.isfinite(value) or math.isclose(value, edge, rel_tol=SAME):
            continue
        while decimals < MOST and (round(value, decimals) - edge) * (value - edge) <= 0:
            decimals += 1
    return decimals


def _written(value: float, decimals: int) -> str:
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:,.{decimals}f}"
