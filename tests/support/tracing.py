"""Which files of the project a piece of work passes: what a reader has to open to follow it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]


class FilesCalled:
    """Collects the files below these folders in which this thread calls a function, by first call."""

    def __init__(self, *folders: str) -> None:
        self.files: list[str] = []
        self._below = tuple(f"{ROOT / folder}/" for folder in folders)

    def __enter__(self) -> FilesCalled:
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, _: Any) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(self._below):
            name = Path(file).relative_to(ROOT).as_posix()
            if name not in self.files:
                self.files.append(name)
