"""Times as a person types them: a number and a unit, as in 200ms, 5s or 2min."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from lab.errors import BadParameter

__all__ = ["LONGEST_S", "UNITS_S", "parse_seconds", "read_seconds"]

UNITS_S: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}
"""What can stand behind a number, and how many seconds each is."""

LONGEST_S = 7 * 24 * 3600.0
"""A week. A longer time is taken for a slip of the finger: no run, pause or wait of anybody's is longer."""

_FORM = re.compile(r"(?P<number>(\d+\.?\d*|\.\d+)(e[-+]?\d+)?)\s*(?P<unit>[a-zµμ]*)", re.IGNORECASE)


def parse_seconds(text: str, bare: str = "s") -> float | None:
    """Return a time in seconds; a number without a unit counts in `bare`. None for what is no finite time."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        return None
    unit = found["unit"].lower().replace("µ", "u").replace("μ", "u") or bare
    seconds = float(found["number"]) * UNITS_S.get(unit, math.nan)
    return seconds if math.isfinite(seconds) else None


def read_seconds(option: str, text: str, least: float = 0.0, bare: str = "s") -> float:
    """Return the time that was typed, in seconds; a number alone counts in `bare`.

    Raises BadParameter for what is no time, and for one below `least` or of more than a week.
    """
    seconds = parse_seconds(text, bare)
    if seconds is None or not least <= seconds <= LONGEST_S:
        raise BadParameter(
            f"{option} is {text!r}: give a time from {least:g} s to a week, as in 500ms, 5s or 2min "
            f"({bare} where no unit is said)"
        )
    return seconds
