"""Less than its share at first, for an instance that returns."""

from __future__ import annotations

from collections.abc import Collection

from services.balancer.instances import Instance

__all__ = ["SlowStart"]


class SlowStart:
    """Of the requests that the policy would give an instance t seconds after its return, it takes the part
    max(1/10, t / duration_s), evenly spread; the others go elsewhere. (Envoy's slow start, with
    aggression 1 and a least weight of 10 %, which here needs no weights.) A duration of 0 does nothing.
    """

    __slots__ = ("_duration_s", "_warming")

    def __init__(self, duration_s: float) -> None:
        if duration_s < 0:
            raise ValueError(f"slow_start_s is {duration_s}: a time of 0 seconds or more")
        self._duration_s = duration_s
        self._warming: dict[Instance, _Warming] = {}

    @property
    def warming(self) -> Collection[Instance]:
        """Those that do not take their whole share yet: a view, which stays true."""
        return self._warming.keys()

    def begin(self, instance: Instance, now: float) -> None:
        """The instance returns."""
        if self._duration_s:
            self._warming[instance] = _Warming(now)

    def end(self, instance: Instance) -> None:
        """The instance is gone again."""
        self._warming.pop(instance, None)

    def takes(self, instance: Instance, now: float) -> bool:
        """Whether the instance takes the request that the policy would give it."""
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
        """So that the first request it is offered shows that it is back."""


_LEAST = 0.1
