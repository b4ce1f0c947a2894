"""Any instance, each as likely."""

# ruff: noqa: ARG002  (the signature is the policy's)
from __future__ import annotations

from collections.abc import Collection

from services.balancer.instances import Instance
from services.balancer.policies.random_choice import Drawing

__all__ = ["Uniform"]


class Uniform(Drawing):
    """The policy `random`: it looks at nothing, and so is the one to compare others with."""

    __slots__ = ()

    def choose(self, now: float, tried: Collection[Instance] = ()) -> Instance | None:
        return self.draw(tried)
