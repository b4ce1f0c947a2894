"""Sliders beside what was measured: exact theory at once, the simulator a moment later with its interval.

What a notebook keeps of them is a picture: the output has no widget's type. Where a person sits before the
notebook, a widget without a view of its own comes beside it, finds the picture on the page by its number, and
puts the sliders in its place. A notebook that is opened again shows the picture until the cell is run.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from typing import Any
from uuid import uuid4

import pandas as pd

from lab.charts.answer import Answer
from lab.charts.chart import Chart, markdown_html, styled
from lab.errors import ExtraMissing, LabError
from lab.imports import Extra, needing
from lab.live.live_chart import Data
from lab.live.questions import THEORY, PipelineQuestion, PolicyQuestion, Question
from lab.policy_comparison import PolicyComparison, PolicyResult
from lab.progress import is_interactive, note

__all__ = ["WhatIf", "what_if"]

PAUSE_S = 0.25
"""Seconds without a further move, after which a setting is simulated."""
REQUESTS = (6_000, 20_000, 60_000)
"""Requests of the first simulation of a setting, and of those that narrow its interval."""


def what_if(
    answer: Answer, measured: pd.DataFrame | Sequence[PolicyResult], plan: PolicyComparison | None = None
) -> Answer | WhatIf:
    """Show an answer, and below it what other settings would do: sliders, or a picture where no person sits.

    `measured` are the rows of a sweep, or the results of a comparison whose `plan` is given too. Without a
    measurement there is the answer alone.
    """
    if not len(measured):
        return answer
    if isinstance(measured, pd.DataFrame):
        return WhatIf(answer, PipelineQuestion(measured))
    if plan is None:
        raise TypeError("results of policies alone do not say what was compared: give the plan too")
    return WhatIf(answer, PolicyQuestion(plan, measured))


class WhatIf:
    """An answer and a question, as a notebook shows them."""

    def __init__(self, answer: Answer, question: Question) -> None:
        self.answer = answer
        self.question = question
        self._widget: Any = None

    def __str__(self) -> str:
        return str(self.answer)

    def _repr_mimebundle_(
        self,
        include: Any = None,  # noqa: ARG002
        exclude: Any = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        picture = _picture(self.question).html()
        if is_interactive():
            try:
                self._widget = sliders(self.question)
            except ExtraMissing as error:
                note(str(error))
            else:
                picture = f'<div data-lab-what-if="{self._widget.number}">{picture}</div>'
        text = str(self.answer)
        page = f"{markdown_html(text)}{picture}"
        return {"text/html": page, "text/markdown": text, "text/plain": text}, {}


def sliders(question: Question) -> Any:
    """Return the widget that puts sliders where a picture is. Raises ExtraMissing without anywidget."""
    with needing(Extra.JUPYTER, "asking what if"):
        import anywidget
        import traitlets

    from lab.live.panel import module_of

    class WhatIfSliders(anywidget.AnyWidget):
        """The widget: its sliders, what was asked, and the answers."""

        _esm = module_of("chart.js", "what_if.js")
        _css = module_of("live.css")

        number = traitlets.Unicode().tag(sync=True)
        controls: traitlets.List[Any] = traitlets.List().tag(sync=True)
        charts: traitlets.List[Any] = traitlets.List().tag(sync=True)
        asked = traitlets.Dict().tag(sync=True)
        exact = traitlets.Dict().tag(sync=True)
        simulated = traitlets.Dict().tag(sync=True)

    values = {control.name: control.value for control in question.controls}
    answers = _Answers(question)
    widget = WhatIfSliders(
        number=uuid4().hex,
        controls=[asdict(control) for control in question.controls],
        charts=list(question.charts),
        asked={"move": 0, "values": values},
        exact=answers.exact(0, values),
    )
    answers.tell = lambda simulated: setattr(widget, "simulated", simulated)
    widget.observe(lambda change: setattr(widget, "exact", answers.to(**change["new"])), "asked")
    return widget


class _Answers:
    """The answers to what sliders ask: theory at once, simulations in a thread, of the last setting alone."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._moves = count(1)
        self._last = 0
        self._waiting: tuple[int, int, dict[str, Any]] | None = None
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self.tell: Any = None

    def to(self, move: int, values: dict[str, Any]) -> Data:
        """Return the exact answer, and begin to simulate."""
        answer = self.exact(move, values)
        with self._wake:
            self._last = next(self._moves)
            self._waiting = self._last, move, values
            self._wake.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._simulate, name="what if", daemon=True)
                self._thread.start()
        return answer

    def exact(self, move: int, values: dict[str, Any]) -> Data:
        """Return what theory says of a setting."""
        return {"move": move, **asdict(self._question.exact(values))}

    def _simulate(self) -> None:
        """Simulate what waits, ever more precisely, until something newer does; end when nothing waits."""
        while True:
            with self._wake:
                while self._wake.wait(PAUSE_S):
                    pass  # sliders still move, and answers come sooner while nothing is simulated
                if self._waiting is None:
                    self._thread = None
                    return
                (number, move, values), self._waiting = self._waiting, None
            for requests in REQUESTS:
                if number != self._last:
                    break
                try:
                    found = asdict(self._question.refined(values, requests))
                except LabError as error:
                    found = {"points": [], "told": "", "why": str(error)}
                if number == self._last:
                    self.tell({"move": move, **found})
                if "why" in found:
                    break


@styled
def _picture(question: Question) -> Chart:
    """Draw the measured points and what theory says at the settings that were measured."""
    from lab.charts.axes import legend_below, log_steps, log_values
    from lab.charts.marks import DASHED
    from lab.charts.style import look, new_figure

    values = {control.name: control.value for control in question.controls}
    found = question.exact(values)
    figure = new_figure(5.2 * len(question.charts), 4.2)
    places = figure.subplots(1, len(question.charts), squeeze=False)[0]
    handles = {}
    for ax, chart, curve in zip(places, question.charts, found.curves, strict=True):
        ax.set_title(chart["title"])
        ax.set_xlabel(chart["x"]["label"])
        ax.set_ylabel(chart["y"]["label"])
        if chart["x"]["scale"] == "log":
            log_steps(ax.xaxis, chart["x"]["ticks"])
        for number, series in enumerate(chart["series"][:THEORY]):
            own = [point for point in chart["points"] if point["at"][0][1] == number]
            its = look(series["look"])
            x, y = [point["at"][0][2] for point in own], [point["y"] for point in own]
            if own:
                marks = {
                    "color": its.colour,
                    "marker": its.marker,
                    "linestyle": "none",
                    "label": series["name"],
                }
                (handles[series["name"]],) = ax.plot(x, y, **marks)
        if curve:
            style = DASHED | {"color": look(2).colour, "label": "exact theory"}
            (handles["exact theory"],) = ax.plot([x for x, _ in curve], [y for _, y in curve], **style)
        log_values(ax.yaxis, [v for _, v in curve if v] + [point["y"] for point in chart["points"]])
    legend_below(figure, list(handles.values()), columns=3)
    setting = ", ".join(
        f"{control.label} {control.value:g} {control.unit}".strip()
        if isinstance(control.value, (int, float))
        else str(control.value)
        for control in question.controls
    )
    said = f"Exact theory: {found.told}." if found.told else f"No exact theory here: {found.why}."
    told = f"{said} At {setting}."
    return Chart(
        figure,
        said,
        f"What was measured, and what theory says at {setting}",
        "Run the cell in JupyterLab to ask what other settings would do.",
        told,
    )
