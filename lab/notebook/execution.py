"""Run a notebook from top to bottom, and keep the outcome as a notebook and as a page of HTML."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.exceptions import PapermillExecutionError

from lab.errors import NotebookFailed
from lab.notebook.parameters import read_notebook
from lab.notebook.report import answer_of, page

__all__ = ["CELL_TIMEOUT_S", "Executed", "execute"]

CELL_TIMEOUT_S = 12 * 60 * 60
"""Longer than any sweep that a person waits for, so that only a cell that hangs meets it."""


@dataclass(frozen=True, slots=True)
class Executed:
    """The files of an executed notebook: the notebook and its page."""

    notebook: Path
    html: Path

    @property
    def answer(self) -> str:
        """The output of the last code cell as text; empty if it has none."""
        return answer_of(read_notebook(self.notebook))


def execute(
    notebook: Path,
    parameters: Mapping[str, Any],
    *,
    build: Path = Path("build"),
    cell_timeout_s: int = CELL_TIMEOUT_S,
) -> Executed:
    """Run all cells with these parameters, checked by `read_parameters`, and show what they print.

    The executed notebook and its page are kept in `build`, under the name of the notebook, and of the sweep
    where `parameters` names one. Raises NotebookFailed if a cell fails or takes longer than `cell_timeout_s`,
    or if the kernel dies; both files are then kept as far as the run came.
    """
    logging.getLogger("papermill").setLevel(
        logging.ERROR
    )  # it reads the parameters too, and warns of lines that it cannot read
    build.mkdir(parents=True, exist_ok=True)
    name = "-".join(map(str, filter(None, (notebook.stem, parameters.get("name")))))
    kept = Executed(build / f"{name}.ipynb", build / f"{name}.html")
    try:
        papermill.execute_notebook(
            notebook,
            kept.notebook,
            dict(parameters),
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            execution_timeout=cell_timeout_s,
            coalesce_streams=True,  # keep the last line of a progress bar, and not every one
            extra_arguments=["--log-level=CRITICAL"],  # it warns that loopback is not encrypted
        )
    except (PapermillExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
        raise NotebookFailed(
            f"{_cause(error, cell_timeout_s)}: see {kept.notebook} for how far it came"
        ) from error
    finally:
        if kept.notebook.exists():
            _export(kept)
    return kept


def _cause(error: Exception, cell_timeout_s: int) -> str:
    match error:
        case PapermillExecutionError():
            return f"cell {error.cell_index + 1} failed with {error.ename}: {error.evalue}"
        case CellTimeoutError():
            return f"a cell took longer than {cell_timeout_s:g} s"
        case DeadKernelError():
            return "the kernel died"
    return f"the kernel did not start ({error})"


def _export(kept: Executed) -> None:
    """Write the page beside the notebook."""
    kept.html.write_text(page(read_notebook(kept.notebook), kept.notebook.stem), encoding="utf-8")
