"""A chart: what it found, a figure for a wide page and one for a narrow page, and the one way to show it."""

from __future__ import annotations

import base64
import io
import textwrap
from collections.abc import Callable, Sized
from dataclasses import dataclass, field, replace
from functools import wraps
from hashlib import blake2b
from html import escape
from pathlib import Path
from typing import Any, ParamSpec

from matplotlib import rc_context
from matplotlib.figure import Figure

from lab.charts.inline_svg import inline_svg
from lab.charts.style import RC, narrow_figures, new_figure

__all__ = ["Chart", "markdown_html", "styled"]

Arguments = ParamSpec("Arguments")
_NARROWER_THAN_PX = 640
_CSS = (
    ".lab-chart{container-type:inline-size;margin:0;break-inside:avoid}"
    ".lab-chart svg{display:block;width:100%;height:auto}"
    ".lab-chart svg text{font-family:system-ui,sans-serif}"
    ".lab-chart figcaption{overflow-x:auto}"
    ".lab-chart .narrow{display:none}"
    ".lab-chart .title{font-weight:600;font-size:1.1em}"
    ".lab-chart .title,.lab-chart .subtitle{margin:0 0 .3em}"
    f"@container (max-width:{_NARROWER_THAN_PX - 1}px)"
    "{.lab-chart .wide{display:none}.lab-chart .narrow{display:block}}"
)
_TITLE_LETTERS, _SUBTITLE_LETTERS = 9, 11.5
"""How many letters of title and subtitle an inch of a file has room for."""
_MARGIN_IN, _TITLE_LINE_IN, _SUBTITLE_LINE_IN, _LINE = 0.08, 0.25, 0.21, 1.2


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with the finding as its title, and a caption in Markdown below it."""

    figure: Figure
    title: str
    """What was found: the answer to the question that the chart is looked at for."""
    subtitle: str
    """What is drawn."""
    caption: str
    alternative: str
    """What the picture shows, in words, for those who do not see it."""
    redraw: Callable[[], Chart] | None = field(default=None, repr=False, compare=False)
    """Draws it anew, for a page of another width."""

    def save(self, path: Path | str) -> Path:
        """Write the figure, in the format that the suffix names, and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with rc_context(RC):
            self.figure.savefig(path, facecolor="white")
        return path

    def png(self) -> bytes:
        """Render the figure as PNG on white, at twice the usual resolution for sharp screens."""
        buffer = io.BytesIO()
        with rc_context(RC):
            self.figure.savefig(buffer, format="png", facecolor="white")
        return buffer.getvalue()

    def html(self, *, caption: bool = True) -> str:
        """Render the chart as part of a page, in both widths: the page shows the one that it has room for."""
        salt = blake2b(f"{self.title}{self.alternative}{caption}".encode(), digest_size=6).hexdigest()
        below = f"<figcaption>{markdown_html(self.caption)}</figcaption>" if caption else ""
        return (
            f'<figure class="lab-chart"><style>{_CSS}</style>'
            f'<p class="title">{escape(self.title)}</p><p class="subtitle">{escape(self.subtitle)}</p>'
            f"{self._pictures(salt)}{below}</figure>"
        )

    def bundle(self, *, caption: bool = True) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the chart by MIME type, and metadata: HTML with SVG in it, PNG, and text."""
        data = {
            "text/html": self.html(caption=caption),
            "image/png": base64.b64encode(self.png()).decode(),
            "text/plain": f"{self.title}\n{self.subtitle}" + (f"\n\n{self.caption}" if caption else ""),
        }
        width_px = round(self.figure.get_size_inches()[0] * 100)
        return data, {"image/png": {"width": width_px, "alt": self.title}}

    def image(self) -> ChartImage:
        """Return the picture with its title, without the caption, as a notebook displays it."""
        return ChartImage(self)

    def _repr_mimebundle_(
        self,
        include: Any = None,  # noqa: ARG002
        exclude: Any = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.bundle()

    def _pictures(self, salt: str) -> str:
        """Draw without the title, which the page writes in lines of its own width."""
        if self.redraw is None:
            return inline_svg(self.figure, self.title, self.alternative, salt)
        wide = inline_svg(self.redraw().figure, self.title, self.alternative, salt)
        with narrow_figures():
            narrow = inline_svg(self.redraw().figure, self.title, self.alternative, f"{salt}n")
        return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


@dataclass(frozen=True, slots=True)
class ChartImage:
    """A chart that a notebook shows without its caption."""

    chart: Chart

    def _repr_mimebundle_(
        self,
        include: Any = None,  # noqa: ARG002
        exclude: Any = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.chart.bundle(caption=False)


def styled(draw: Callable[Arguments, Chart]) -> Callable[Arguments, Chart]:
    """Draw in the lab's style, and leave the user's own settings of matplotlib as they were.

    The title is written above the figure, for files. Where there is nothing to draw, neither a row nor a run,
    the chart says so.
    """

    @wraps(draw)
    def drawn(*arguments: Arguments.args, **named: Arguments.kwargs) -> Chart:
        def redraw() -> Chart:
            given = arguments or tuple(named.values())
            with rc_context(RC):
                if not given or (isinstance(given[0], Sized) and not len(given[0])):
                    return _nothing()
                return draw(*arguments, **named)

        chart = redraw()
        with rc_context(RC):
            _write_title(chart)
        return replace(chart, redraw=redraw)

    return drawn


def _nothing() -> Chart:
    """Draw words alone."""
    said = "Nothing was measured: there is nothing to draw."
    return Chart(new_figure(8.4, 1.0), said, "No row and no run is there.", said, said)


def _write_title(chart: Chart) -> None:
    """Write title and subtitle above the figure, in lines that it has the width for."""
    figure, (width, height) = chart.figure, chart.figure.get_size_inches()
    title = textwrap.wrap(chart.title, int(width * _TITLE_LETTERS))
    subtitle = textwrap.wrap(chart.subtitle, int(width * _SUBTITLE_LETTERS))
    subtitle_at, ends_at = (
        _MARGIN_IN + len(title) * _TITLE_LINE_IN,
        _MARGIN_IN + len(title) * _TITLE_LINE_IN + len(subtitle) * _SUBTITLE_LINE_IN,
    )
    figure.set_size_inches(width, height + ends_at)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, height / (height + ends_at)))
    for at_in, lines, how in (
        (_MARGIN_IN, title, {"fontsize": RC["figure.titlesize"], "fontweight": RC["figure.titleweight"]}),
        (subtitle_at, subtitle, {}),
    ):
        place = (0.01, 1 - at_in / (height + ends_at))
        figure.text(*place, "\n".join(lines), va="top", linespacing=_LINE, **how).set_in_layout(False)


def markdown_html(markdown: str) -> str:
    """Render Markdown as part of a page."""
    from markdown_it import MarkdownIt  # only pages need it

    return str(MarkdownIt("commonmark").enable("table").render(markdown))
