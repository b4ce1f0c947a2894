"""Show what takes long: a live line in a terminal, lines in a pipe or a file, a panel in a notebook.

`follow` is for experiments: it takes them from event to event (`lab.experiment_events`) and shows these by
the view that fits. `seconds_bar` is a bar for anything else. Without a terminal both print a line at the end
of each step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from lab.errors import ExtraMissing, in_kernel
from lab.experiment_events import (
    Course,
    Event,
    ExperimentBegun,
    ExperimentEnded,
    Interrupts,
    Listener,
    StopAsked,
    TrialBegun,
    TrialEnded,
    TrialProgress,
)
from lab.measure.measurement import Measurement

__all__ = ["VIEWS", "ProgressLine", "SecondsBar", "follow", "is_interactive", "note", "seconds_bar"]

VIEWS = "pipeline_lab.views"
"""The group of entry points that make views, so that this floor knows none that stands above it.

`notebook` returns a listener for where a person sits before a notebook."""


class SecondsBar:
    """Progress in seconds of planned work, done in steps of known length.

    Where there is no terminal, a line is printed at the end of each step instead.
    """

    def __init__(self, total_s: float) -> None:
        self._live = _stream().isatty()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(30),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("[{task.fields[spent]}, {task.fields[left]} left]", markup=False),
            console=Console(file=_stream(), force_jupyter=False, force_terminal=self._live),
            auto_refresh=False,  # a thread of its own would take the interpreter lock from servers
        )
        self._done_s = 0.0
        self._what = ""
        self._task = self._bar.add_task("", total=total_s, spent="0:00", left=_clock(total_s))
        if self._live:
            self._bar.start()

    def say(self, what: str) -> None:
        """Set the text of the present step."""
        self._what = what
        self._show(self._done_s)

    def within(self, elapsed_s: float, step_s: float) -> None:
        """Show how far the present step is: `elapsed_s` of `step_s` seconds."""
        self._show(self._done_s + min(elapsed_s, step_s))

    def finish(self, step_s: float) -> None:
        """End the present step, however long it took: it counts as `step_s` seconds."""
        self._done_s += step_s
        self._show(self._done_s)
        if not self._live and self._what:
            note(self._what)

    def expect(self, left_s: float) -> None:
        """Plan anew: so many seconds are left from the present step on."""
        self._bar.update(self._task, total=self._done_s + left_s)

    def close(self) -> None:
        """Leave the last line as it is."""
        if self._live:
            self._bar.stop()

    def _show(self, seconds: float) -> None:
        if not self._live:
            return
        task = self._bar.tasks[0]
        spent, left = _clock(task.elapsed or 0.0), _clock((task.total or 0.0) - seconds)
        self._bar.update(
            self._task, completed=seconds, description=self._what, spent=spent, left=left, refresh=True
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    return f"{minutes}:{rest:02d}"


@contextmanager
def seconds_bar(total_s: float) -> Iterator[SecondsBar]:
    """Show a bar of `total_s` seconds of planned work. Its last line stays when it is done.

    A notebook shows what is written to stderr as an error, so there it goes to stdout. In a pipe or a file
    there is no bar.
    """
    bar = SecondsBar(total_s)
    try:
        yield bar
    finally:
        bar.close()


def note(text: str) -> None:
    """Print a line where the bar would be, before or after it."""
    print(text, file=_stream(), flush=True)


@contextmanager
def follow(
    plan: object,
    trials: int,
    planned_s: float,
    listeners: Sequence[Listener] = (),
    rows: Sequence[Measurement] = (),
    *,
    resumes: bool = False,
) -> Iterator[Course]:
    """Show an experiment while its block runs, and let a person stop it.

    The block tells the `Course` what happens, and begins no further trial once that is `stopping`. A second
    interrupt ends the block at once, and the program goes on behind it. What was stopped is said in a line.
    """
    begun = ExperimentBegun(plan, trials, planned_s, tuple(rows), resumes)
    with Interrupts() as interrupts:
        course = Course(begun, (_view(), *listeners), interrupts)
        try:
            course.tell(begun)
            yield course
        except KeyboardInterrupt:
            if not interrupts.raised:
                raise
        finally:
            course.end()
        if course.stopped:
            note(_stopped(course))


def _stopped(course: Course) -> str:
    again = "run the cell again" if in_kernel() else "run the same again"
    further = "to go on" if course.begun.resumes else "to begin anew"
    return f"stopped after {course.done} of {course.done + course.left} trials; {again} {further}"


def _view() -> Listener:
    """Return the view for where this runs."""
    if is_interactive():
        for found in entry_points(group=VIEWS, name="notebook"):
            try:
                shown: Listener = found.load()()
            except ExtraMissing as error:
                note(str(error))
            else:
                return shown
    return ProgressLine()


class ProgressLine:
    """The view of a terminal: a bar with rate, median and valid trials so far."""

    def __init__(self) -> None:
        self._bar = SecondsBar(0.0)
        self._ended = 0
        self._valid = 0

    def __call__(self, event: Event) -> None:
        """Show one event."""
        match event:
            case ExperimentBegun():
                self._bar.expect(event.planned_s)
            case TrialBegun():
                self._bar.expect(event.left_s)
                self._say(event)
            case TrialProgress():
                self._say(event.begun, *_figures(event))
                self._bar.within(event.progress.elapsed_s, event.begun.planned_s)
            case TrialEnded():
                self._ended += 1
                self._valid += event.row.health.valid
                self._say(event.begun, *_of_row(event.row))
                self._bar.finish(event.begun.planned_s)
            case StopAsked():
                note("stopping after this trial; interrupt again to stop at once")
            case ExperimentEnded():
                self._bar.close()

    def _say(self, begun: TrialBegun, *figures: str) -> None:
        so_far = [f"valid so far {self._valid} of {self._ended}"] if self._ended else []
        where = f"trial {begun.place} of {begun.trials}: {begun.name}"
        self._bar.say(", ".join([where, *figures, *so_far]))


def _figures(event: TrialProgress) -> list[str]:
    median = event.progress.p50_ms
    return [f"{event.rate_rps:.3g} req/s", *([] if median is None else [f"p50 {median:.3g} ms"])]


def _of_row(row: Measurement) -> list[str]:
    rate, median = row.outcome.throughput_rps, row.outcome.response_time_p50_ms
    told = [] if rate is None else [f"{rate:.3g} req/s"]
    told += [] if median is None else [f"p50 {median:.3g} ms"]
    return told if row.health.valid else [*told, f"invalid ({row.health.invalid_reason})"]


def _stream() -> TextIO:
    return sys.stdout if in_kernel() else sys.stderr


def is_interactive() -> bool:
    """Return whether a person sits before the notebook: only then its front end offers to ask for input.

    papermill and nbconvert, which run notebooks without one, do not.
    """
    if not in_kernel():
        return False
    request = sys.modules["IPython"].get_ipython().kernel.get_parent("shell")
    return bool(request.get("content", {}).get("allow_stdin"))
