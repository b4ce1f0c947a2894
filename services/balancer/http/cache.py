"""What was met before need not be looked at again."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["BoundedCache"]

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(dict[K, V], Generic[K, V]):
    """Remembers up to `limit` answers to a pure question, and then begins anew.

    Beginning anew costs what a few common entries cost to find out again, once in `limit` new ones; keeping
    them in order of use would cost something every time.
    """

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def keep(self, key: K, value: V) -> V:
        """Remember it, and return it."""
        if len(self) >= self._limit:
            self.clear()
        self[key] = value
        return value
