"""A notebook as it is committed: what its cells say, without what they printed and what a front end adds.

`nox -s lab` offers to have git call this file for each notebook that it looks at, as a filter: then outputs
that JupyterLab saves change nothing, and are part of no commit. It runs by itself, and imports the standard
library only.
"""

from __future__ import annotations

import json
import sys
from typing import Any

__all__ = ["without_outputs"]

_OF_A_FRONT_END = ("collapsed", "execution", "jupyter", "scrolled", "ExecuteTime")
"""Metadata that front ends write into cells, and that say nothing of what is run."""


def without_outputs(text: str) -> str:
    """Return the notebook's text without outputs, counts of execution, widgets' state and versions.

    A text that is no notebook is returned as it is.
    """
    try:
        notebook = json.loads(text)
        cells = notebook["cells"]
        for cell in cells:
            _strip(cell)
    except (ValueError, TypeError, KeyError, AttributeError):
        return text
    metadata = notebook.get("metadata", {})
    metadata.pop("widgets", None)
    if metadata.get("kernelspec", {}).get("name") == "python3":
        metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
        metadata["language_info"] = {"name": "python"}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _strip(cell: dict[str, Any]) -> None:
    if isinstance(cell["source"], str):
        cell["source"] = cell["source"].splitlines(keepends=True)
    for name in _OF_A_FRONT_END:
        cell["metadata"].pop(name, None)
    if cell["cell_type"] == "code":
        cell["outputs"], cell["execution_count"] = [], None


if __name__ == "__main__":
    sys.stdout.buffer.write(without_outputs(sys.stdin.buffer.read().decode("utf-8")).encode("utf-8"))
