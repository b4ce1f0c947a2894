"""A timeline of faults as data: what goes wrong where, from when, and for how long."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from lab.errors import BadParameter

__all__ = ["Fault", "FaultKind", "timeline"]


class FaultKind(StrEnum):
    """What goes wrong with a server."""

    KILL = "kill"
    """The server is gone as after a crash: connections reset, port closed. It is started again in the end."""
    FREEZE = "freeze"
    """The server accepts connections and answers nothing, until it is thawed."""
    SLOW = "slow"
    """Service times are `strength` times what they were."""
    ERRORS = "errors"
    """The server answers a share of its requests with 500, and does not execute them."""
    DROP = "drop"
    """The server executes a share of its requests, and hangs up in place of an answer."""
    RESTART = "restart"
    """The server is stopped in good order, and started again at once."""


_STRENGTH = {FaultKind.SLOW: 4.0, FaultKind.ERRORS: 1.0, FaultKind.DROP: 1.0}
_FORM = re.compile(
    r"at (?P<at>[\d.]+) (?P<kind>[a-z]+) (?P<target>\S+)"
    r"(?: (?:x(?P<factor>[\d.]+)|(?P<share>[\d.]+)%))?(?: for (?P<lasts>[\d.]+))?"
)
_EXAMPLES = "'at 4 kill service1b for 4', 'at 12 slow service2a x4 for 3', 'at 18 drop service3c 50% for 2'"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, `at_s` seconds after the load begins, of one server by name. Raises BadParameter.

    After `lasts_s` seconds it is undone; a restart takes as long as it takes. `strength` is a factor for
    `slow`, a share from 0 to 1 for `errors` and `drop`, and nothing for the others.
    """

    at_s: float
    kind: FaultKind
    target: str
    lasts_s: float = 0.0
    strength: float | None = None

    def __post_init__(self) -> None:
        known = self.kind in _STRENGTH
        if self.strength is None and known:
            object.__setattr__(self, "strength", _STRENGTH[self.kind])
        wrong = [
            not (math.isfinite(self.at_s) and self.at_s >= SOONEST_S) and f"at {SOONEST_S:g} s or later",
            self.kind is not FaultKind.RESTART and not self.lasts_s > 0 and "for a time above 0 s",
            self.kind is FaultKind.RESTART and self.lasts_s != 0 and "for no time of its own",
            self.strength is not None and not known and "without a strength",
            self.kind is FaultKind.SLOW and not (self.strength or 0) > 0 and "by a factor above 0",
            self.kind in (FaultKind.ERRORS, FaultKind.DROP)
            and not 0 < (self.strength or 0) <= 1
            and "for 1 to 100% of requests",
        ]
        for remedy in filter(None, wrong):
            raise BadParameter(f"the fault {self.kind} of {self.target} makes no sense: have it {remedy}")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read what a person writes: 'at 4 kill service1b for 4'. Raises BadParameter, with examples."""
        found = _FORM.fullmatch(text.strip())
        if not found or found["kind"] not in list(FaultKind):
            raise BadParameter(f"{text!r} is no fault: there are {', '.join(FaultKind)}, as in {_EXAMPLES}")
        try:
            strength = float(found["factor"]) if found["factor"] else None
            if found["share"]:
                strength = float(found["share"]) / 100
            return cls(
                float(found["at"]),
                FaultKind(found["kind"]),
                found["target"],
                float(found["lasts"] or 0),
                strength,
            )
        except ValueError as error:
            raise BadParameter(f"{text!r} is no fault ({error}): write {_EXAMPLES}") from None

    @property
    def end_s(self) -> float:
        """When the fault is undone, in seconds after the load begins."""
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        """Write the fault as `parse` reads it."""
        strength = ""
        if self.strength is not None:
            strength = f" x{self.strength:g}" if self.kind is FaultKind.SLOW else f" {self.strength:.4%}"
            strength = re.sub(r"\.?0+%", "%", strength) if strength.endswith("%") else strength
        lasts = f" for {self.lasts_s:g}" if self.lasts_s else ""
        return f"at {self.at_s:g} {self.kind} {self.target}{strength}{lasts}"


SOONEST_S = 1.0
"""Seconds. Before that the load may not have begun to say how far it is."""


def timeline(faults: Iterable[Fault | str]) -> tuple[Fault, ...]:
    """Return faults in order of time, from data or text.

    Raises BadParameter where one server has two faults at a time.
    """
    ordered = sorted((Fault.parse(f) if isinstance(f, str) else f for f in faults), key=lambda f: f.at_s)
    for place, fault in enumerate(ordered):
        for later in ordered[place + 1 :]:
            if later.target == fault.target and later.at_s <= fault.end_s:
                raise BadParameter(
                    f"{fault.target} has two faults at once, '{fault}' and '{later}': part them"
                )
    return tuple(ordered)
