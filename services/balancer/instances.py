"""One instance as its balancer sees it: where it listens, and what has been counted there."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Instance"]


@dataclass(slots=True, eq=False)
class Instance:
    """The state of one instance. Compared and hashed by identity: a policy keeps it as a key.

    `in_flight` belongs to the policy (`started` adds, `finished` takes away); `requests` and `errors` to
    the roster.
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

    def __post_init__(self) -> None:
        if self.weight < 1:
            raise ValueError(
                f"{self.name} has weight {self.weight}: a weight is a whole number of at least 1"
            )

    @property
    def label(self) -> str:
        """`service1a:8051`, as /stats writes it."""
        return f"{self.name}:{self.port}"
