"""Which instances are fit to be chosen: passive ejection of outliers, active checks, and trials.

`cause_of` reads what a failed attempt says of its instance; `Health` decides on it.
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
from services.wire.errors import SHORTAGES, FailureKind, WireError

__all__ = ["EJECTED", "FailureCause", "Health", "HealthRules", "State", "TransitionReason", "cause_of"]


class FailureCause(StrEnum):
    """What a failed attempt says of the instance it went to."""

    NONE = "none"
    """Nothing: this side gave up or ran short, or a kept-alive connection had just been closed."""
    FAILED = "failed"
    """The instance did not answer, or not well."""
    UNREACHABLE = "unreachable"
    """No program listens there."""


EJECTED = "ejected"
"""How an attempt fails whose instance checks find down while the attempt waits for it."""


def cause_of(error: WireError) -> FailureCause:
    """Return what a failed attempt says of the instance it went to."""
    if error.kind is FailureKind.ABORTED or error.kind in SHORTAGES:
        return FailureCause.NONE
    return FailureCause.UNREACHABLE if error.kind in _UNREACHABLE else FailureCause.FAILED


_UNREACHABLE = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE, FailureKind.UNRESOLVED})


@dataclass(frozen=True, slots=True)
class HealthRules:
    """When an instance is ejected, and when it may return.

    The n-th ejection in a row lasts min(backoff_cap_s, backoff_s × 2^(n-1)) seconds; a row ends when the
    instance has served for backoff_cap_s without one.
    """

    failures: int = 5
    """How many failures without an answer between them eject."""
    backoff_s: float = 1.0
    backoff_cap_s: float = 30.0
    rise: int = 2
    """How many checks passed in a row restore."""
    fall: int = 3
    """How many checks failed in a row eject, until `rise` of them pass."""
    panic_threshold: float = 0.25
    """All instances are chosen from where less than this part of them is fit; 0: never."""

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
    """Whether an instance is chosen."""

    SERVING = "serving"
    EJECTED = "ejected"
    TRIAL = "trial"
    """Ejected, and one request is under way to see whether it is fit again."""


class TransitionReason(StrEnum):
    """Why an instance was ejected or restored."""

    UNREACHABLE = "unreachable"
    FAILURES = "failures"
    TRIAL = "trial"
    CHECKS = "checks"


class Health:
    """The state of every instance: a pure state machine that is told what happened, and when.

        SERVING ─ unreachable; `failures` failures or `fall` failed checks in a row ─► EJECTED
        EJECTED ─ backoff over (`due`), and an attempt starts ─► TRIAL
        EJECTED ─ `rise` checks passed in a row ─► SERVING
        TRIAL ─ answered ─► SERVING
        TRIAL ─ failed ─► EJECTED, for longer
        TRIAL ─ given up ─► EJECTED, and due again

    - An instance that is unreachable is ejected at once, any other after `failures` failures in a row.
    - Once an instance was ejected, attempts begun before count no more, nor do they when it has returned.
    - Checks also end a passive ejection, but not the second one in a row for failures that no check saw:
      there checks evidently do not tell, and only a trial will. Where checks ejected, only they restore.
    """

    __slots__ = ("_backoffs", "_failed_checks", "_failures", "_order", "_out", "_past", "_rules")

    def __init__(self, rules: HealthRules) -> None:
        self._rules = rules
        self._out: dict[InstanceState, _Ejection] = {}
        self._failures: dict[InstanceState, int] = {}
        self._failed_checks: dict[InstanceState, int] = {}
        self._past: dict[InstanceState, tuple[int, float]] = {}
        """How many ejections in a row an instance had, and when the last of them ended."""
        self._backoffs: list[tuple[float, int, InstanceState]] = []
        """A heap of when ejections end; entries that no longer hold are dropped when they come up."""
        self._order = count()

    @property
    def out(self) -> Collection[InstanceState]:
        """Instances that are ejected or on trial: a view, which stays true."""
        return self._out.keys()

    @property
    def failing(self) -> Collection[InstanceState]:
        """Instances that failed since they last answered and are not ejected for it yet: a view too."""
        return self._failures.keys()

    def state(self, instance: InstanceState) -> State:
        """Return whether the instance serves, is ejected or is on trial."""
        ejection = self._out.get(instance)
        if ejection is None:
            return State.SERVING
        return State.EJECTED if ejection.trial_at is None else State.TRIAL

    def down_by_checks(self, instance: InstanceState) -> bool:
        """Return whether checks say that the instance is down."""
        ejection = self._out.get(instance)
        return ejection is not None and ejection.by_checks

    def due(self, now: float) -> InstanceState | None:
        """Return an ejected instance that may have its trial now, or None."""
        while self._backoffs and self._backoffs[0][0] <= now:
            until, _, instance = self._backoffs[0]
            ejection = self._out.get(instance)
            if ejection is not None and ejection.trial_at is None and ejection.until == until:
                return instance
            heappop(self._backoffs)
        return None

    def started(self, instance: InstanceState, now: float) -> None:
        """Take note of an attempt that begins: the trial, if the instance is due for one."""
        ejection = self._out.get(instance)
        if ejection is not None and ejection.trial_at is None and ejection.until <= now:
            ejection.trial_at = now

    def succeeded(self, instance: InstanceState, begun: float, now: float) -> Event | None:
        """Take note that the instance answered an attempt begun at `begun`. Returns the event it causes."""
        self._failures.pop(instance, None)
        ejection = self._out.get(instance)
        if ejection is None or ejection.by_checks or begun < ejection.since:
            return None
        return self._restore(instance, now, TransitionReason.TRIAL)

    def failed(self, instance: InstanceState, begun: float, now: float, cause: FailureCause) -> Event | None:
        """Take note that the instance failed an attempt begun at `begun`. Returns the event it causes."""
        if cause is FailureCause.NONE:
            self.released(instance, begun)
            return None
        ejection = self._out.get(instance)
        if ejection is not None:
            if ejection.trial_at is None or begun < ejection.trial_at:
                return None
            return self._eject(
                instance, now, TransitionReason.TRIAL, unreachable=cause is FailureCause.UNREACHABLE
            )
        if begun < self._past.get(instance, _NEVER)[1]:
            return None
        if cause is FailureCause.UNREACHABLE:
            return self._eject(instance, now, TransitionReason.UNREACHABLE, unreachable=True)
        failures = self._failures[instance] = self._failures.get(instance, 0) + 1
        if failures < self._rules.failures:
            return None
        return self._eject(instance, now, TransitionReason.FAILURES, unreachable=False)

    def released(self, instance: InstanceState, begun: float) -> None:
        """Take note that an attempt begun at `begun` was given up: nothing was learned."""
        ejection = self._out.get(instance)
        if ejection is not None and ejection.trial_at is not None and begun >= ejection.trial_at:
            ejection.trial_at = None
            heappush(self._backoffs, (ejection.until, next(self._order), instance))

    def check_passed(self, instance: InstanceState, now: float) -> Event | None:
        """Take note of a check that was answered well. Returns the event it causes."""
        self._failed_checks.pop(instance, None)
        ejection = self._out.get(instance)
        if ejection is None:
            return None
        ejection.passes += 1
        if ejection.passes < self._rules.rise or not (ejection.seen_by_checks or ejection.row == 1):
            return None
        return self._restore(instance, now, TransitionReason.CHECKS)

    def check_failed(self, instance: InstanceState, now: float) -> Event | None:
        """Take note of a check that was not answered, or not well. Returns the event it causes."""
        failed_checks = self._failed_checks[instance] = self._failed_checks.get(instance, 0) + 1
        ejection = self._out.get(instance)
        if ejection is not None:
            ejection.passes = 0
            ejection.seen_by_checks = True
        if failed_checks < self._rules.fall:
            return None
        if ejection is None:
            self._failures.pop(instance, None)
            self._out[instance] = _Ejection(
                now, inf, self._row(instance, now), seen_by_checks=True, by_checks=True
            )
            return Event(EventKind.EJECTED, now, instance, TransitionReason.CHECKS)
        ejection.by_checks, ejection.until, ejection.trial_at = True, inf, None
        return None

    def forget(self, instance: InstanceState) -> None:
        """Forget an instance that is gone for good."""
        for known in (self._out, self._failures, self._failed_checks, self._past):
            known.pop(instance, None)

    def _eject(
        self, instance: InstanceState, now: float, reason: TransitionReason, *, unreachable: bool
    ) -> Event:
        earlier = self._out.get(instance)
        row = earlier.row + 1 if earlier else self._row(instance, now)
        backoff = min(self._rules.backoff_cap_s, self._rules.backoff_s * 2.0 ** min(row - 1, 64))
        ejection = self._out[instance] = _Ejection(now, now + backoff, row, seen_by_checks=unreachable)
        self._failures.pop(instance, None)
        heappush(self._backoffs, (ejection.until, next(self._order), instance))
        return Event(EventKind.EJECTED, now, instance, reason)

    def _restore(self, instance: InstanceState, now: float, reason: TransitionReason) -> Event:
        self._past[instance] = (self._out.pop(instance).row, now)
        return Event(EventKind.RESTORED, now, instance, reason)

    def _row(self, instance: InstanceState, now: float) -> int:
        """Return which ejection in a row this one is."""
        row, ended = self._past.get(instance, _NEVER)
        return row + 1 if now - ended < self._rules.backoff_cap_s else 1


@dataclass(slots=True)
class _Ejection:
    since: float
    until: float
    row: int
    seen_by_checks: bool
    """Whether a check would notice what ejected the instance."""
    by_checks: bool = False
    """Whether checks say that the instance is down: then only they restore it."""
    trial_at: float | None = None
    passes: int = 0


_NEVER = (0, -inf)
