"""Choose the better of two instances drawn at random: the less busy, or the one likely to answer sooner."""

# ruff: noqa: ARG002  (the signature is the policy's)
from __future__ import annotations

from collections.abc import Collection
from math import exp, inf

from services.balancer.instances import InstanceState
from services.balancer.policies.random_choice import RandomChoice

__all__ = ["PeakEwma", "PowerOfTwo"]


class PeakEwma(RandomChoice):
    """The policy `peak_ewma`: of two drawn, the instance of lower cost, which is estimate × (in flight + 1).

    The estimate follows the time an attempt takes. A time above it is believed at once; one below it counts
    for 1 - w and the old estimate for w = exp(-t/decay_s), t being the time since the last answer; and while
    no answer comes the estimate fades by the same w, so that an instance once slow is asked again. An
    instance of which nothing is known costs nothing while idle and infinitely much while busy: one request
    finds out. After Finagle's PeakEwma; times are in seconds. Failures say nothing about speed: ejection is
    for them.
    """

    __slots__ = ("_decay_s", "_estimates")

    def __init__(self, seed: int = 0, decay_s: float = 10.0) -> None:
        super().__init__(seed)
        if not decay_s > 0:
            raise ValueError(f"decay_s is {decay_s}: the estimates need a time above 0 to fade in")
        self._decay_s = decay_s
        self._estimates: dict[InstanceState, tuple[float, float]] = {}
        """The estimate in seconds, and when it was made."""

    def add(self, instance: InstanceState) -> None:
        super().add(instance)
        # An instance removed for a while (full, ejected) is remembered; one gone for good is forgotten here.
        if len(self._estimates) > 2 * len(self._places) + _FORGOTTEN:
            self._estimates = {
                known: self._estimates[known] for known in self._places if known in self._estimates
            }

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        drawn = self.draw_two(tried)
        if drawn is None:
            return None
        one, other = drawn
        return one if self._cost(one, now) <= self._cost(other, now) else other

    def finished(self, instance: InstanceState, now: float, elapsed_s: float | None) -> None:
        instance.in_flight -= 1
        if elapsed_s is None:
            return
        estimate, at = self._estimates.get(instance, (0.0, now))
        kept = exp((at - now) / self._decay_s)
        faded = estimate * kept
        self._estimates[instance] = (
            elapsed_s if elapsed_s > faded else faded + elapsed_s * (1.0 - kept),
            now,
        )

    def _cost(self, instance: InstanceState, now: float) -> float:
        known = self._estimates.get(instance)
        if known is None:
            return inf if instance.in_flight else 0.0
        estimate, at = known
        return estimate * exp((at - now) / self._decay_s) * (instance.in_flight + 1)


_FORGOTTEN = 64


class PowerOfTwo(RandomChoice):
    """The policy `power_of_two`: of two drawn, the instance with fewer attempts in flight.

    Mitzenmacher, The Power of Two Choices in Randomized Load Balancing (2001): nearly as good as knowing
    the least busy of all, without the herd that follows it when several balancers know it.
    """

    __slots__ = ()

    def choose(self, now: float, tried: Collection[InstanceState] = ()) -> InstanceState | None:
        drawn = self.draw_two(tried)
        if drawn is None:
            return None
        one, other = drawn
        return one if one.in_flight <= other.in_flight else other
