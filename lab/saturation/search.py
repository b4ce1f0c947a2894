"""Search for the highest level that keeps a goal: pure arithmetic, fed with what each probe found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from lab.errors import BadParameter

__all__ = ["Search", "SearchResult"]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What one probe found."""

    level: float
    kept: bool
    """Whether the goal was kept at this level."""
    capacity: float | None = None
    """What the server managed at a level beyond its limit, in the level's unit; None if unknown."""
    shortage: str | None = None
    """What of the generator's own ran short, in words, where only that broke the goal."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search among levels (requests a second, or a concurrency) under the rule that lower is easier.

    The search looks just below and just above where the limit is thought to be. Whenever a probe overloads
    the server and so shows its capacity, the limit is thought to be there. Failing that the search doubles or
    halves until the limit is bracketed, and then halves the bracket, in proportion.
    """

    guess: float
    """Where the limit is thought to be."""
    precision: float = 0.03
    """The search ends when the lowest broken level is at most this share above the highest kept."""
    most_probes: int = 8
    whole: bool = False
    """Whether levels are whole numbers; then the search ends at neighbours too."""
    found: tuple[SearchResult, ...] = field(default=())

    def __post_init__(self) -> None:
        if not (self.guess > 0 and math.isfinite(self.guess)):
            raise BadParameter(f"a search cannot start at {self.guess}: give a level above 0")
        if not 0 < self.precision < 1:
            raise BadParameter(f"precision is {self.precision}: it lies between 0 and 1, as 0.03 does")

    @property
    def highest_kept(self) -> float | None:
        """The highest level that kept the goal, below all that broke it; None if none did."""
        ceiling = self.lowest_broken
        kept = [f.level for f in self.found if f.kept and (ceiling is None or f.level < ceiling)]
        return max(kept, default=None)

    @property
    def lowest_broken(self) -> float | None:
        """The lowest level that broke the goal; None if none did."""
        return min((f.level for f in self.found if not f.kept), default=None)

    @property
    def shortage(self) -> str | None:
        """What of the generator's own ran short at the lowest level that broke the goal; None if nothing."""
        broken = [found for found in self.found if not found.kept]
        return min(broken, key=lambda found: found.level).shortage if broken else None

    @property
    def settled(self) -> bool:
        """Whether the limit is known as precisely as was asked."""
        low, high = self.highest_kept, self.lowest_broken
        if self.whole and high is not None and high <= 1:
            return True
        if low is None or high is None:
            return False
        return high <= low * (1 + self.precision) * (1 + 1e-9) or (self.whole and high - low <= 1)

    def after(self, found: SearchResult) -> Search:
        """Return the search with one more result."""
        known = not found.kept and found.capacity is not None and found.capacity > 0
        guess = found.capacity if known and found.capacity else self.guess
        return replace(self, guess=guess, found=(*self.found, found))

    def next_level(self) -> float | None:
        """Return the level to probe next; None when the search is over."""
        if self.settled or len(self.found) >= self.most_probes:
            return None
        level = self._candidate()
        return float(round(level)) if self.whole else level

    def _candidate(self) -> float:
        low, high = self.highest_kept, self.lowest_broken
        for level in self._around_guess():
            if (low is None or level > low) and (high is None or level < high):
                return level
        if low is not None and high is not None:
            return math.sqrt(low * high)
        if low is not None:
            return low * 2
        assert high is not None, "without any probe, the guess is a candidate"
        return high / 2

    def _around_guess(self) -> tuple[float, float]:
        """Return levels just below and just above the guess, the precision asked for apart."""
        margin = self.precision / (2 + self.precision)
        below, above = self.guess * (1 - margin), self.guess * (1 + margin)
        return (max(1, math.floor(below)), math.ceil(above)) if self.whole else (below, above)
