"""The live view of a notebook: a widget fed with numbers while an experiment runs, then a picture."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from lab.experiment_events import (
    Event,
    ExperimentBegun,
    ExperimentEnded,
    Listener,
    StopAsked,
    TrialBegun,
    TrialEnded,
    TrialProgress,
)
from lab.imports import Extra, needing
from lab.live.live_chart import LiveChart
from lab.live.outline import live_chart
from lab.progress import ProgressLine, note
from lab.sweep.plan import Plan

with needing(Extra.JUPYTER, "the live view"):
    import anywidget
    import traitlets

__all__ = ["LivePanel", "module_of", "notebook_view"]

NO_OUTLINE: dict[str, Any] = {
    "title": "Under way",
    "x": {"label": "", "scale": "linear"},
    "y": {"label": "", "scale": "linear"},
    "panels": [],
    "series": [],
    "sure": True,
}


def notebook_view() -> Listener:
    """Return the view of a notebook that a person sits before."""
    return _NotebookView()


def module_of(*names: str) -> str:
    """Return the texts of these files beside this one as one module."""
    return "\n".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in names)


class LivePanel(anywidget.AnyWidget):
    """The widget: what it draws, and the state of the experiment. Numbers come as messages of their own."""

    _esm = module_of("chart.js", "panel.js")
    _css = module_of("live.css")

    outline = traitlets.Dict(NO_OUTLINE).tag(sync=True)
    kernel_id = traitlets.Unicode("").tag(sync=True)
    trial = traitlets.Dict().tag(sync=True)
    point: traitlets.List[Any] = traitlets.List().tag(sync=True)

    def __repr__(self) -> str:
        return "A live view, which JupyterLab shows while the cell runs."


class _NotebookView:
    """Shows each event on a panel, and puts a picture in its place at the end.

    Where the panel fails, the experiment goes on, and lines tell of it.
    """

    def __init__(self) -> None:
        self._panel: LivePanel | None = None
        self._handle: Any = None
        self._chart: LiveChart | None = None
        self._plan: object = None
        self._done = self._valid = self._redone = 0
        self._over_s = 0.0
        self._instead: Listener | None = None

    def __call__(self, event: Event) -> None:
        """Show one event."""
        if self._instead is None:
            try:
                self._show(event)
            except Exception as error:  # whatever a view lacks, no experiment may fail of it
                note(f"the live view failed ({type(error).__name__}: {error}): lines go on")
                self._instead = ProgressLine()
        else:
            self._instead(event)

    def _show(self, event: Event) -> None:
        match event:
            case ExperimentBegun():
                self._open(event)
            case TrialBegun():
                self._begin(event)
            case TrialProgress():
                self._send(event)
            case TrialEnded():
                self._take(event)
            case StopAsked() if self._panel:
                self._panel.trial = {**self._panel.trial, "stopping": True}
            case ExperimentEnded():
                self._close()

    def _open(self, begun: ExperimentBegun) -> None:
        from IPython.display import display

        self._plan, self._chart = begun.plan, live_chart(begun)
        self._count(*begun.rows)
        outline = self._chart.outline if self._chart else NO_OUTLINE
        trial = {"done": self._done, "valid": self._valid, "left_s": begun.planned_s}
        self._panel = LivePanel(outline=outline, kernel_id=_kernel_id(), trial=trial)
        self._handle = display(self._panel, display_id=True)  # type: ignore[no-untyped-call]

    def _begin(self, begun: TrialBegun) -> None:
        assert self._panel is not None
        self._panel.trial = {
            "name": begun.name,
            "place": begun.place,
            "trials": begun.trials,
            "planned_s": begun.planned_s,
            "left_s": begun.left_s,
            "over_s": self._over_s,
            "at": self._chart.spots(begun) if self._chart else [],
            "done": self._done,
            "valid": self._valid,
            "redone": self._redone,
            "stopping": self._panel.trial.get("stopping", False),
        }

    def _send(self, event: TrialProgress) -> None:
        assert self._panel is not None
        so_far = event.progress
        self._panel.send(
            {
                "t": round(so_far.elapsed_s, 3),
                "n": so_far.succeeded,
                "f": so_far.failed,
                "q": so_far.in_flight,
                "p50": _short(so_far.p50_ms),
                "p99": _short(so_far.p99_ms),
            }
        )

    def _take(self, ended: TrialEnded) -> None:
        assert self._panel is not None
        self._over_s += ended.begun.planned_s
        self._count(ended.row)
        if self._chart:
            self._panel.point = self._chart.points(ended)

    def _count(self, *rows: Any) -> None:
        self._done += len(rows)
        self._valid += sum(row.health.valid for row in rows)
        if isinstance(self._plan, Plan):
            self._redone += self._plan.redone(rows)

    def _close(self) -> None:
        """Put the picture where the panel was: a widget's view in a saved notebook is one without a model."""
        if self._panel is None:
            return
        try:
            picture = self._chart.picture() if self._chart else None
        finally:
            self._handle.update(picture.image() if picture else _Nothing())
            self._panel.close()


class _Nothing:
    """What stands where a panel was that had nothing to show."""

    def __repr__(self) -> str:
        return "Nothing was measured: there is nothing to draw."


def _kernel_id() -> str:
    """Return the id by which a Jupyter server knows this kernel; empty where none started it."""
    from ipykernel.connect import get_connection_file

    found = re.fullmatch(r"kernel-(.+)\.json", os.path.basename(get_connection_file()))
    return found[1] if found else ""


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
