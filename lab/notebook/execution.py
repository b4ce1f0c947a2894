"""Run a notebook from top to bottom, and keep what came of it as a notebook and as a page of HTML."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError

from lab.errors import NotebookFailed

__all__ = ["Executed", "execute", "read_notebook"]

CELL_TIMEOUT_S = 12 * 60 * 60
"""Longer than any sweep that one waits for, so that only what hangs runs into it."""


@dataclass(frozen=True, slots=True)
class Executed:
    """Where the executed notebook and its page lie."""

    notebook: Path
    html: Path

    @property
    def answer(self) -> str:
        """What its last cell shows, as text; empty if nothing."""
        outputs = read_notebook(self.notebook).cells[-1].get("outputs", [])
        shown = outputs[-1].get("data", {}) if outputs else {}
        return str(shown.get("text/markdown") or shown.get("text/plain") or "")


def read_notebook(path: Path) -> NotebookNode:
    """The notebook in that file, in the fourth format. Raises FileNotFoundError."""
    notebook: NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def execute(
    notebook: Path,
    parameters: Mapping[str, Any],
    *,
    build: Path = Path("build"),
    cell_timeout_s: int = CELL_TIMEOUT_S,
) -> Executed:
    """Run all cells with these parameters, checked by `read_parameters`, and show what they print meanwhile.

    Raises NotebookFailed if a cell fails or takes too long, or the kernel dies. The executed notebook and
    its page are kept all the same, as far as they came: under the name of the notebook, and of the sweep
    where `parameters` names one.
    """
    logging.getLogger("papermill").setLevel(logging.ERROR)  # it reads the parameters again, less well
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
            coalesce_streams=True,  # a progress bar leaves its last line behind, and not every one
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
    """A page that stands alone: pictures inside it, and no script from anywhere."""
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        extra_template_basedirs=[str(Path(__file__).parent)],
        template_name="page",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    page, _ = exporter.from_notebook_node(read_notebook(kept.notebook))
    kept.html.write_text(page, encoding="utf-8")
