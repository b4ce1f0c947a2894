"""Run the trials of an experiment, whatever they measure: what every experiment owes to whoever waits for it.

Before the first trial it is said who else computes here. Once two trials are invalid for one reason, that is
said at once. Those that others spoilt are made up for by further ones, up to a bound that is named.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from lab.errors import BadParameter
from lab.machine import busy_programs, program_times, tells_waits
from lab.measure.trial_processes import family, hides, processes_of_trial
from lab.measure.validity import MEANING, InvalidReason, is_spoilt
from lab.progress import note

__all__ = ["InvalidTrials", "made_up_for", "most_redone", "run_trials", "say_who_computes"]

LOOK_S = 0.3
"""For how long it is looked who else computes."""
TOLD_AT = 2
"""So many invalid trials of one kind are said at once."""
MOST_TRIALS = 10**6
_Planned = TypeVar("_Planned")


def say_who_computes(then: str = "", *urls: str, servers: Iterable[int] = ()) -> None:
    """Name the programs that others run, before the first trial, and what to do; `then` says what comes then.

    Not others are this process, whoever listens at `urls`, and the processes `servers`.
    """
    before = program_times()
    time.sleep(LOOK_S)
    own = processes_of_trial(*urls) | family(servers)
    busy = busy_programs(before, program_times(), LOOK_S, own)
    if busy:
        end = f", or some trials may not count: {then}" if then else ", or some trials may not count"
        note(f"other programs compute here: {', '.join(busy)}. End them{end}")
    if not tells_waits():
        note("this system does not tell who waits for a processor: no row can say that others moved it")
    elif hidden := [url for url in urls if hides(url)]:
        note(
            f"who serves {hidden[0]} is hidden from you (another user's, or in a container), so no row can "
            "say that others moved it: see to it that nobody else computes here"
        )


def most_redone(redo_invalid: bool | int, trials: int) -> int:
    """Return how many further trials may make up for spoilt ones of so many: True stands for a third of them.

    Raises BadParameter for a number that there cannot be.
    """
    if isinstance(redo_invalid, bool):
        return math.ceil(trials / 3) if redo_invalid else 0
    if not isinstance(redo_invalid, int) or not 0 <= redo_invalid <= MOST_TRIALS:
        raise BadParameter(
            f"redo_invalid cannot be {redo_invalid!r}: it takes true, false, or a whole number from 0 on"
        )
    return redo_invalid


def made_up_for(most: int) -> str:
    """Say how many trials are made up for."""
    return f"up to {most} are made up for (redo_invalid)" if most else "none is made up for (redo_invalid)"


class InvalidTrials:
    """Count of invalid trials by reason, which says so as soon as two are of one kind."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, invalid_reason: str | None) -> None:
        """Count one trial, valid where there is no reason."""
        for reason in (invalid_reason or "").split():
            self._counts[reason] += 1
            if self._counts[reason] == TOLD_AT:
                note(f"{TOLD_AT} trials are {reason} so far: {MEANING[InvalidReason(reason)]}. Going on")


def run_trials(
    planned: Sequence[_Planned],
    run: Callable[[_Planned], str | None],
    most: int,
    again: Callable[[_Planned], _Planned] = lambda same: same,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Run every trial in order, then those again that others spoilt, at most `most` times in all.

    `run` returns why its trial is invalid, or None; `again` makes a further trial of one. Once `stopping`
    returns True, no further trial begins.
    """
    invalid = InvalidTrials()

    def is_left(trial: _Planned) -> bool:
        reason = run(trial)
        invalid.count(reason)
        return is_spoilt(reason)

    left = deque([trial for trial in planned if not stopping() and is_left(trial)])
    if left and most and not stopping():
        note(f"{min(most, len(left))} more trials make up for invalid ones (redo_invalid {most})")
    for _ in range(most):
        if left and not stopping():
            further = again(left.popleft())
            left.extend([further] if is_left(further) else [])
    if left and not stopping():
        note(f"{len(left)} trials stay invalid: measure again when nobody else computes here")
