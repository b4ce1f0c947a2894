"""Which instances are fit to be chosen: passive ejection of outliers, active checks, and trials.

What a failed attempt says of the instance it went to.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from itertools import count
from math import inf

from services.balancer.events import Event, EventKind
from services.balancer.instances import InstanceState
from services.wire.errors import FailureKind, NotSent, WireError

__all__ = ["FailureCause", "Health", "HealthRules", "State", "TransitionReason", "blame"]


class FailureCause(StrEnum):
    """What a failure says of the instance."""

    NONE = "none"
    """Nothing: this side gave up, or a kept-alive connection had just been closed."""
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    """Nobody is there."""


def blame(error: WireError) -> FailureCause:
    """What a failed attempt says of the instance it went to."""
    if error.kind is FailureKind.ABORTED or isinstance(error, NotSent):
        return FailureCause.NONE
    return FailureCause.UNREACHABLE if error.kind in _NOBODY_THERE else FailureCause.FAILED


_NOBODY_THERE = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE, FailureKind.UNRESOLVED})


@dataclass(frozen=True, slots=True)
class HealthRules:
    """When an instance is ejected, and when it may return.

    The n-th ejection in a row lasts min(backoff_cap_s, backoff_s × 2^(n-1)) seconds; a row ends when the
    instance has served for backoff_cap_s without one.
    """

    failures: int = 5
    """So many failures without an answer between them eject."""
    backoff_s: float = 1.0
    backoff_cap_s: float = 30.0
    rise: int = 2
    """So many checks passed in a row restore."""
    fall: int = 3
    """So many checks failed in a row eject, until `rise` of them pass."""
    panic_threshold: float = 0.25
    """Where less than this part of the instances is fit, all are chosen from; 0 never does that."""

    def __post_init__(self) -> None:
        for name in ("failures", "rise", "fall"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it counts from 1")
        if not 0 < self.backoff_s <= self.backoff_cap_s:
            raise ValueError(
                f"backoff_s is {self.backoff_s}: above 0 and up to backoff_cap_s, {self.backoff_cap_s}"
            )
        if not 0 <= self.panic_threshold <= 1:
            raise ValueError(
                f"panic_threshold is {self.panic_threshold}: a part of the instances, from 0 to 1"
            )


class State(StrEnum):
    """How an instance stands."""

    SERVING = "serving"
    EJECTED = "ejected"
    TRIAL = "trial"
    """Ejected, and one request is under way to see whether it is fit again."""


class TransitionReason(StrEnum):
    """Why it was ejected or restored."""

    UNREACHABLE = "unreachable"
    FAILURES = "failures"
    TRIAL = "trial"
    CHECKS = "checks"


class Health:
    """The standing of every instance: a pure state machine that is told what happened, and when.

    - An instance that is unreachable is ejected at once, any other after `failures` failures in a row.
    - When its backoff is over it is `due`: the next attempt that starts there is its trial, and until that
      has ended it is due no more. An answer restores it; a failure ejects it again, for longer; a trial that
      was given up leaves it due.
    - Once it was ejected, attempts begun before count no more, nor do they when it has returned.
    - Checks eject by `fall` and restore by `rise`. They also end a passive ejection, but not the second one
      in a row for failures that no check saw: there checks evidently do not tell, and only a trial will.
    """

    __slots__ = ("_backoffs", "_fails", "_order", "_out", "_past", "_rules", "_strikes")

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self._out: dict[InstanceState, _Ejection] = {}
        self._strikes: dict[InstanceState, int] = {}
        self._fails: dict[InstanceState, int] = {}
        self._past: dict[InstanceState, tuple[int, float]] = {}
        """How many ejections in a row it had, and when the last of them ended."""
        self._backoffs: list[tuple[float, int, InstanceState]] = []
        """A heap of when ejections end; what no longer holds is dropped when it comes up."""
        self._order = count()

    @property
    def out(self) -> Collection[InstanceState]:
        """Those that are ejected or on trial: a view, which stays true."""
        return self._out.keys()

    @property
    def failing(self) -> Collection[InstanceState]:
        """Those that failed since they last answered and are not ejected for it yet: a view too."""
        return self._strikes.keys()

    def state(self, instance: InstanceState) -> State:
        ejection = self._out.get(instance)
        if ejection is None:
            return State.SERVING
        return State.EJECTED if ejection.trial_at is None else State.TRIAL

    def due(self, now: float) -> InstanceState | None:
        """An ejected instance that may have its trial now."""
        while self._backoffs and self._backoffs[0][0] <= now:
            until, _, instance = self._backoffs[0]
            ejection = self._out.get(instance)
            if ejection is not None and ejection.trial_at is None and ejection.until == until:
                return instance
            heappop(self._backoffs)
        return None

    def started(self, instance: InstanceState, now: float) -> None:
        """An attempt begins: the trial, if the instance is due for one."""
        ejection = self._out.get(instance)
        if ejection is not None and ejection.trial_at is None and ejection.until <= now:
            ejection.trial_at = now

    def succeeded(self, instance: InstanceState, begun: float, now: float) -> Event | None:
        """The instance answered an attempt begun at `begun`."""
        self._strikes.pop(instance, None)
        ejection = self._out.get(instance)
        if ejection is None or ejection.by_checks or begun < ejection.since:
            return None
        return self._restore(instance, now, TransitionReason.TRIAL)

    def failed(self, instance: InstanceState, begun: float, now: float, blamed: FailureCause) -> Event | None:
        """The instance failed an attempt begun at `begun`."""
        if blamed is FailureCause.NONE:
            self.released(instance, begun)
            return None
        ejection = self._out.get(instance)
        if ejection is not None:
            if ejection.trial_at is None or begun < ejection.trial_at:
                return None
            return self._eject(
                instance, now, TransitionReason.TRIAL, unreachable=blamed is FailureCause.UNREACHABLE
            )
        if begun < self._past.get(instance, _NEVER)[1]:
            return None
        if blamed is FailureCause.UNREACHABLE:
            return self._eject(instance, now, TransitionReason.UNREACHABLE, unreachable=True)
        strikes = self._strikes[instance] = self._strikes.get(instance, 0) + 1
        if strikes < self._rules.failures:
            return None
        return self._eject(instance, now, TransitionReason.FAILURES, unreachable=False)

    def released(self, instance: InstanceState, begun: float) -> None:
        """An attempt was given up, and nothing was learned."""
        ejection = self._out.get(instance)
        if ejection is not None and ejection.trial_at is not None and begun >= ejection.trial_at:
            ejection.trial_at = None
            heappush(self._backoffs, (ejection.until, next(self._order), instance))

    def check_passed(self, instance: InstanceState, now: float) -> Event | None:
        """A check of its /health was answered well."""
        self._fails.pop(instance, None)
        ejection = self._out.get(instance)
        if ejection is None:
            return None
        ejection.passes += 1
        if ejection.passes < self._rules.rise or not (ejection.seen_by_checks or ejection.row == 1):
            return None
        return self._restore(instance, now, TransitionReason.CHECKS)

    def check_failed(self, instance: InstanceState, now: float) -> Event | None:
        """A check of its /health was not answered, or not well."""
        fails = self._fails[instance] = self._fails.get(instance, 0) + 1
        ejection = self._out.get(instance)
        if ejection is not None:
            ejection.passes = 0
            ejection.seen_by_checks = True
        if fails < self._rules.fall:
            return None
        if ejection is None:
            self._strikes.pop(instance, None)
            self._out[instance] = _Ejection(
                now, inf, self._row(instance, now), seen_by_checks=True, by_checks=True
            )
            return Event(EventKind.EJECTED, now, instance, TransitionReason.CHECKS)
        ejection.by_checks, ejection.until, ejection.trial_at = True, inf, None
        return None

    def forget(self, instance: InstanceState) -> None:
        """The instance is gone for good."""
        for known in (self._out, self._strikes, self._fails, self._past):
            known.pop(instance, None)

    def _eject(
        self, instance: InstanceState, now: float, reason: TransitionReason, *, unreachable: bool
    ) -> Event:
        earlier = self._out.get(instance)
        row = earlier.row + 1 if earlier else self._row(instance, now)
        backoff = min(self._rules.backoff_cap_s, self._rules.backoff_s * 2.0 ** min(row - 1, 64))
        ejection = self._out[instance] = _Ejection(now, now + backoff, row, seen_by_checks=unreachable)
        self._strikes.pop(instance, None)
        heappush(self._backoffs, (ejection.until, next(self._order), instance))
        return Event(EventKind.EJECTED, now, instance, reason)

    def _restore(self, instance: InstanceState, now: float, reason: TransitionReason) -> Event:
        self._past[instance] = (self._out.pop(instance).row, now)
        return Event(EventKind.RESTORED, now, instance, reason)

    def _row(self, instance: InstanceState, now: float) -> int:
        """Which ejection in a row this one is."""
        row, ended = self._past.get(instance, _NEVER)
        return row + 1 if now - ended < self._rules.backoff_cap_s else 1


@dataclass(slots=True)
class _Ejection:
    since: float
    until: float
    row: int
    seen_by_checks: bool
    """Whether what ejected it is a thing that a check would notice."""
    by_checks: bool = False
    """Whether checks say it is down: then only they restore it."""
    trial_at: float | None = None
    passes: int = 0


_NEVER = (0, -inf)
