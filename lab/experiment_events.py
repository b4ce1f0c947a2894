"""What an experiment tells while it runs, as data, and how a person stops it.

A sweep, a search, a timeline of faults and a comparison of policies all go one way: `lab.progress.follow`
gives each a `Course`. The experiment tells it when a trial begins (`TrialBegun`), how the trial goes
(`TrialProgress`, about four times a second) and what came of it (`TrialEnded`); the course passes each event
on to every listener. Views are listeners: a line in a terminal, a panel in a notebook. No experiment knows
them.

An interrupt (Ctrl-C, or that of a notebook's kernel) is a wish: the first ends an experiment after the
present trial, the second at once. Either way the experiment returns what there is.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lab.load.result import Progress
from lab.measure.columns import Factors
from lab.measure.measurement import Measurement

__all__ = [
    "Course",
    "Event",
    "ExperimentBegun",
    "ExperimentEnded",
    "Interrupts",
    "Listener",
    "StopAsked",
    "TrialBegun",
    "TrialEnded",
    "TrialProgress",
    "name_of",
]


@dataclass(frozen=True, slots=True)
class ExperimentBegun:
    """An experiment begins: the first event of all."""

    plan: object
    """What is to be done, as the experiment was given it: a Plan, a FaultPlan, a PolicyComparison …"""
    trials: int
    """How many trials are to be run, as far as is known."""
    planned_s: float
    rows: tuple[Measurement, ...] = ()
    """Rows that are there already, where an earlier sweep goes on."""
    resumes: bool = False
    """Whether the same call would go on where this one stops."""


@dataclass(frozen=True, slots=True)
class TrialBegun:
    """A trial begins: number `place` of `trials` that are to be run now, planned to take `planned_s`."""

    name: str
    """Name of what is measured, as "parallel at 8"."""
    place: int
    trials: int
    planned_s: float
    left_s: float
    """Seconds that this trial and all after it are planned to take."""
    cell_id: str = ""
    factors: Factors | None = None


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """A trial is under way, told about four times a second."""

    begun: TrialBegun
    progress: Progress

    @property
    def rate_rps(self) -> float:
        """Answers a second since the load began."""
        return self.progress.succeeded / self.progress.elapsed_s if self.progress.elapsed_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial is over. A sweep's row is on the disk."""

    begun: TrialBegun
    row: Measurement
    result: Any = None
    """What came of the trial beside its row, as a FaultRun or a PolicyResult."""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A person asked to stop. The trial under way is the last."""


@dataclass(frozen=True, slots=True)
class ExperimentEnded:
    """An experiment is over, whatever ended it: the last event of all."""

    done: int
    """Trials that there are results of, with those of an earlier sweep that went on."""
    left: int
    """Trials that were planned and not run."""
    stopped: bool
    """Whether a person stopped it."""
    results: tuple[TrialEnded, ...] = ()
    """The trials that ended, in order."""


Event = ExperimentBegun | TrialBegun | TrialProgress | TrialEnded | StopAsked | ExperimentEnded
Listener = Callable[[Event], None]
"""Called with each event, in the thread that runs the experiment: it is to return at once."""


class Interrupts:
    """Takes interrupts (SIGINT) as wishes, within its block.

    The first is noted, the second raises KeyboardInterrupt at once, and later ones do nothing, so that they
    break off no clean-up. Signals reach the main thread alone: elsewhere the block changes nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        """Whether an interrupt came."""
        self.raised = False
        """Whether a second one came."""
        self._over = False
        self._before: Any = None

    def __enter__(self) -> Self:
        handled = signal.getsignal(signal.SIGINT) not in (signal.SIG_IGN, None)
        if handled and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def disregard(self) -> None:
        """Have further interrupts do nothing: what they could end is over."""
        self._over = True

    def _note(self, *_: object) -> None:
        if not self.asked:
            self.asked = True
        elif not self.raised and not self._over:
            # A row that is being written stays whole: it is one write, which no handler breaks off.
            self.raised = True
            raise KeyboardInterrupt


class Course:
    """An experiment under way: it tells `listeners` what happens, and knows whether it is to stop."""

    def __init__(self, begun: ExperimentBegun, listeners: Sequence[Listener], interrupts: Interrupts) -> None:
        self.begun = begun
        self.left = begun.trials
        """Trials that are still to be run, as far as is known."""
        self._listeners = listeners
        self._interrupts = interrupts
        self._told_to_stop = False
        self._place, self._trials, self._left_s = 0, begun.trials, begun.planned_s
        self._results: list[TrialEnded] = []

    @property
    def stopping(self) -> bool:
        """Whether no further trial is to begin."""
        return self._interrupts.asked

    @property
    def done(self) -> int:
        """Trials that there are results of."""
        return len(self.begun.rows) + len(self._results)

    @property
    def stopped(self) -> bool:
        """Whether a person stopped it before all was done."""
        return self.stopping and self.left > 0

    def tell(self, event: Event) -> None:
        """Pass an event on to every listener."""
        match event:
            case TrialBegun():
                self.left = event.trials - event.place + 1
            case TrialEnded():
                self.left -= 1
                self._results.append(event)
        if self.stopping and not self._told_to_stop:
            self._told_to_stop = True
            self._pass_on(StopAsked())
        self._pass_on(event)

    def begin(self, name: str, planned_s: float, cell_id: str = "") -> TrialBegun:
        """Tell that the next trial begins. One beyond those that were planned makes up for another."""
        self._place += 1
        self._trials = max(self._trials, self._place)
        left_s = max(planned_s, self._left_s)
        self._left_s -= planned_s
        begun = TrialBegun(name, self._place, self._trials, planned_s, left_s, cell_id)
        self.tell(begun)
        return begun

    def on_progress(self, begun: TrialBegun) -> Callable[[Progress], None]:
        """Return what takes the progress of a trial's load, and tells it."""
        return lambda progress: self.tell(TrialProgress(begun, progress))

    def end(self) -> None:
        """Tell that the experiment is over."""
        self._interrupts.disregard()
        self._pass_on(ExperimentEnded(self.done, self.left, self.stopped, tuple(self._results)))

    def _pass_on(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def name_of(factors: Factors) -> str:
    """Return a short name of what is measured, such as "parallel at 8"."""
    return f"{factors.topology} at {factors.concurrency or f'{factors.requested_rate:g}/s'}"
