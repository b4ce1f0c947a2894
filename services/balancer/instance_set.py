"""The instances of one service, and which of them the next request goes to.

An InstanceSet asks its policy among the instances that Health finds fit, and lets one that returns start
slowly.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from services.balancer.events import Event, EventKind, Listener, ignore
from services.balancer.health import FailureCause, Health, HealthRules, State
from services.balancer.instances import InstanceState
from services.balancer.policies.policy import Policy

__all__ = ["InstanceSet", "SlowStart"]


class SlowStart:
    """Slow start: an instance that returns takes less than its share at first.

    Of the requests that the policy would give it t seconds after its return, it takes the part
    max(1/10, t / duration_s), evenly spread; the others go elsewhere. (Envoy's slow start, with
    aggression 1 and a least weight of 10 %, which here needs no weights.) A duration of 0 does nothing.
    """

    __slots__ = ("_duration_s", "_warming")

    def __init__(self, duration_s: float) -> None:
        if duration_s < 0:
            raise ValueError(f"slow_start_s is {duration_s}: a time of 0 seconds or more")
        self._duration_s = duration_s
        self._warming: dict[InstanceState, _Warming] = {}

    @property
    def warming(self) -> Collection[InstanceState]:
        """Instances that do not take their whole share yet: a view, which stays true."""
        return self._warming.keys()

    def begin(self, instance: InstanceState, now: float) -> None:
        """Start slowly with an instance that returns."""
        if self._duration_s:
            self._warming[instance] = _Warming(now)

    def end(self, instance: InstanceState) -> None:
        """Forget an instance that is gone again."""
        self._warming.pop(instance, None)

    def takes(self, instance: InstanceState, now: float) -> bool:
        """Decide whether the instance takes the request that the policy would give it."""
        warming = self._warming.get(instance)
        if warming is None:
            return True
        part = (now - warming.since) / self._duration_s
        if part >= 1:
            del self._warming[instance]
            return True
        warming.credit += max(_LEAST, part)
        if warming.credit < 1:
            return False
        warming.credit -= 1
        return True


class _Warming:
    __slots__ = ("credit", "since")

    def __init__(self, since: float) -> None:
        self.since = since
        self.credit = 1.0
        """1 at first, so that the first request offered to the instance shows that it is back."""


_LEAST = 0.1


class InstanceSet:
    """A policy over the instances that are fit, with the counts of attempts and errors.

    Tell it of every attempt that it `started`, at once after `choose`, and then one of `succeeded`,
    `failed` and `released`, with the same `begun` that was `now` when the attempt started. All times are
    seconds on one clock that never runs backwards.

    While less than `rules.panic_threshold` of the instances is fit, the policy chooses from all of them:
    better a chance everywhere than the whole load on the few that are left. And a request that all fit
    instances have failed goes on to those that are not fit: one of them may be back already.
    """

    def __init__(
        self,
        policy: Policy,
        rules: HealthRules | None = None,
        *,
        slow_start_s: float = 0.0,
        on_event: Listener = ignore,
    ) -> None:
        self._policy = policy
        self._rules = rules or HealthRules()
        self._health = Health(self._rules)
        self._slow_start = SlowStart(slow_start_s)
        self._on_event = on_event
        self._members: dict[InstanceState, None] = {}
        self._panicking = False
        # Empty while all is well, which is then all that an attempt asks.
        self._out = self._health.out
        self._failing = self._health.failing
        self._warming = self._slow_start.warming

    def __iter__(self) -> Iterator[InstanceState]:
        return iter(tuple(self._members))

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, instance: InstanceState) -> bool:
        return instance in self._members

    @property
    def panicking(self) -> bool:
        """Whether so few instances are fit that all are chosen from."""
        return self._panicking

    def state(self, instance: InstanceState) -> State:
        """Return whether the instance serves, is ejected or is on trial."""
        return self._health.state(instance)

    def add(self, instance: InstanceState) -> None:
        """Add an instance, which may be chosen from now on. Adding it twice is adding it once."""
        if instance not in self._members:
            self._members[instance] = None
            self._policy.add(instance)
            self._settle()

    def remove(self, instance: InstanceState) -> None:
        """Choose the instance no more; what is in flight there still ends, and is still counted."""
        if instance in self._members:
            del self._members[instance]
            self._policy.remove(instance)
            self._health.forget(instance)
            self._slow_start.end(instance)
            self._settle()

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        """Choose the instance for a request that has been to `tried` already.

        Returns None if there is none: then waiting helps only if `saturated`.
        """
        if self._out:
            due = self._health.due(now)
            if due is not None and due not in tried and not self._policy.full(due):
                return due
        instance = self._policy.choose(now, tried)
        if instance is None:
            return self._last_resort(tried) if self._out and tried else None
        return self._ease(instance, now, tried) if self._warming else instance

    def saturated(self, tried: Collection[InstanceState] = ()) -> bool:
        """Return whether a request that was `tried` will find an instance if it waits until one has room."""
        return self._policy.saturated(tried)

    def started(self, instance: InstanceState, now: float) -> None:
        """Count an attempt that begins at the instance."""
        instance.requests += 1
        self._policy.started(instance, now)
        if self._out:
            self._health.started(instance, now)

    def succeeded(self, instance: InstanceState, begun: float, now: float) -> None:
        """Record that the attempt begun at `begun` was answered, with whatever status."""
        self._policy.finished(instance, now, now - begun)
        if (self._out or self._failing) and instance in self._members:
            self._apply(self._health.succeeded(instance, begun, now))

    def switched(self, instance: InstanceState, begun: float, now: float) -> None:
        """Record that the attempt was answered by a tunnel, which stays in flight until `tunnel_ended`."""
        if instance in self._members:
            self._apply(self._health.succeeded(instance, begun, now))

    def tunnel_ended(self, instance: InstanceState, now: float) -> None:
        """Record the end of a tunnel, which says nothing of how fast the instance is."""
        self._policy.finished(instance, now, None)

    def failed(self, instance: InstanceState, begun: float, now: float, cause: FailureCause) -> None:
        """Record that the attempt failed: an error, whatever `cause` says of the instance."""
        instance.errors += 1
        self._policy.finished(instance, now, None)
        if instance in self._members:
            self._apply(self._health.failed(instance, begun, now, cause))

    def released(self, instance: InstanceState, begun: float, now: float) -> None:
        """Record that the attempt ended by no doing of the instance: no error, and nothing was learned."""
        self._policy.finished(instance, now, None)
        if self._out:
            self._health.released(instance, begun)

    def withdrawn(self, instance: InstanceState, begun: float, now: float) -> None:
        """Record that there was no attempt after all: nothing came to the instance."""
        instance.requests -= 1
        self.released(instance, begun, now)

    def check_passed(self, instance: InstanceState, now: float) -> None:
        """Record an active check that was answered well."""
        if instance in self._members:
            self._apply(self._health.check_passed(instance, now))

    def check_failed(self, instance: InstanceState, now: float) -> None:
        """Record an active check that was not answered, or not well."""
        if instance in self._members:
            self._apply(self._health.check_failed(instance, now))

    def down_by_checks(self, instance: InstanceState) -> bool:
        """Return whether checks say that the instance is down."""
        return self._health.down_by_checks(instance)

    def fit_beside(self, tried: Collection[InstanceState]) -> bool:
        """Return whether an instance serves that was not `tried`."""
        return any(one not in self._out and one not in tried for one in self._members)

    def _last_resort(self, tried: Collection[InstanceState]) -> InstanceState | None:
        """Return the instance ejected longest ago that was not `tried`, once no fit one can take it."""
        if self._policy.saturated(tried):
            return None
        return next((i for i in self._out if i not in tried and not self._policy.full(i)), None)

    def _ease(self, instance: InstanceState, now: float, tried: Collection[InstanceState]) -> InstanceState:
        """Return the first instance that takes the request, from the policy's choice on; else that choice."""
        candidate: InstanceState | None = instance
        passed_over = list(tried)
        while candidate is not None and not self._slow_start.takes(candidate, now):
            passed_over.append(candidate)
            candidate = self._policy.choose(now, passed_over)
        return candidate or instance

    def _apply(self, event: Event | None) -> None:
        if event is None or event.instance is None:
            return
        if event.kind is EventKind.EJECTED:
            self._slow_start.end(event.instance)
            if not self._panicking:
                self._policy.remove(event.instance)
        else:
            self._slow_start.begin(event.instance, event.at)
            self._policy.add(event.instance)
        self._settle()
        self._on_event(event)

    def _settle(self) -> None:
        """Begin or end choosing from all, by how many instances are fit."""
        fit = len(self._members) - len(self._out)
        panicking = fit < self._rules.panic_threshold * len(self._members)
        if panicking is not self._panicking:
            self._panicking = panicking
            for instance in self._out:
                (self._policy.add if panicking else self._policy.remove)(instance)
