"""One instance as its balancer sees it: where it listens, and what was counted there."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["InstanceState"]


@dataclass(slots=True, eq=False)
class InstanceState:
    """The state of one instance, compared and hashed by identity: a policy keeps it as a key.

    `in_flight` belongs to the policy (`started` adds, `finished` takes away); `requests` and `errors` to
    the InstanceSet.
    """

    name: str
    host: str
    port: int
    weight: int = 1
    requests: int = 0
    """Attempts made here."""
    errors: int = 0
    """Attempts that failed here."""
    in_flight: int = 0
    """Attempts begun and not yet finished."""
    label: str = field(init=False)
    """`service1a:8051`, as /stats writes it."""

    def __post_init__(self) -> None:
        self.label = f"{self.name}:{self.port}"
        if self.weight < 1:
            raise ValueError(
                f"{self.name} has weight {self.weight}: a weight is a whole number of at least 1"
            )
