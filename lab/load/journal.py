"""Every request of a run, one by one: for experiments in which each of them counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.load.outcomes import is_success, name_of

__all__ = ["Entry", "entries_of"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One request. Times are of `time.monotonic_ns`, which every process of this machine shares."""

    intended_ns: int
    sent_ns: int
    """0 where no connection could be made."""
    ended_ns: int
    outcome: str
    """The name of what became of it, such as `http_200` or `refused`."""

    @property
    def succeeded(self) -> bool:
        """Whether it was answered with a status of success."""
        return is_success(self.outcome)

    @property
    def response_time_s(self) -> float:
        """From the intended start to the end, whatever the outcome."""
        return (self.ended_ns - self.intended_ns) / 1e9


def entries_of(rows: Iterable[Sequence[int]]) -> tuple[Entry, ...]:
    """From rows of intended start, send, end and outcome's code, in order of intended start."""
    entries = (Entry(intended, sent, ended, name_of(code)) for intended, sent, ended, code in rows)
    return tuple(sorted(entries, key=lambda entry: entry.intended_ns))
