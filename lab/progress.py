"""Show a bar for what takes long, in a terminal and in a notebook alike."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn, TextIO

from tqdm import tqdm

__all__ = ["SecondsBar", "note", "seconds_bar"]

_FORMAT = "{desc} |{bar:30}| {percentage:3.0f} % [{elapsed}, {remaining} left]"


class SecondsBar:
    """Progress in seconds of planned work, done in steps of known length.

    Where there is no terminal, a line is printed at the end of each step instead.
    """

    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar = bar
        self._done_s = 0.0
        self._what = ""

    def say(self, what: str) -> None:
        """Set the text of the present step."""
        self._what = what
        self._bar.set_description_str(what, refresh=False)

    def within(self, elapsed_s: float, step_s: float) -> None:
        """Show how far the present step is: `elapsed_s` of `step_s` seconds."""
        self._to(self._done_s + min(elapsed_s, step_s))

    def finish(self, step_s: float) -> None:
        """End the present step, however long it took: it counts as `step_s` seconds."""
        self._done_s += step_s
        self._to(self._done_s)
        if self._bar.disable and self._what:
            note(self._what)

    def _to(self, seconds: float) -> None:
        self._bar.update(max(0.0, seconds - self._bar.n))


@contextmanager
def seconds_bar(total_s: float) -> Iterator[SecondsBar]:
    """Show a bar of `total_s` seconds of planned work. Its last line stays when it is done.

    A notebook shows what is written to stderr as an error, so there it goes to stdout. In a pipe or a file
    there is no bar.
    """
    with tqdm(
        total=total_s,
        bar_format=_FORMAT,
        smoothing=0,
        mininterval=0.5,
        file=_stream(),
        disable=False if _in_notebook() else None,  # None: where it is no terminal
    ) as bar:
        yield SecondsBar(bar)


def note(text: str) -> None:
    """Print a line where the bar would be, before or after it."""
    print(text, file=_stream(), flush=True)


def _stream() -> TextIO:
    return sys.stdout if _in_notebook() else sys.stderr


def _in_notebook() -> bool:
    """Return whether this process is a kernel: only there IPython is loaded, with a shell of a front end."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
