"""A picture and the sentences that belong under it."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["Chart"]


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure with its caption in Markdown. A notebook shows both, the caption below the picture."""

    figure: Figure
    caption: str
    alternative: str
    """What the picture shows, for those who do not see it."""

    def save(self, path: Path | str) -> Path:
        """Write the figure, in the format that the suffix names, and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.figure.savefig(path, facecolor="white")
        return path

    def png(self) -> bytes:
        """The figure at twice the usual resolution, for sharp screens."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", facecolor="white")
        return buffer.getvalue()

    def _ipython_display_(self) -> None:
        from IPython.display import (  # only a notebook has it, and only there it is wanted
            Image,
            Markdown,
            display,
        )

        width_px = round(self.figure.get_size_inches()[0] * 100)
        picture = Image(self.png(), width=width_px, alt=self.alternative)  # type: ignore[no-untyped-call]
        for each in (picture, Markdown(self.caption)):  # type: ignore[no-untyped-call]
            display(each)  # type: ignore[no-untyped-call]
