"""A notebook is committed as its cells say, whatever they printed and whichever front end saved it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.results import notebook_text
from lab.results.notebook_text import without_outputs

NOTEBOOKS = sorted((Path(__file__).parents[3] / "notebooks").glob("*.ipynb"))


def saved_by_jupyterlab(text: str) -> str:
    notebook: dict[str, Any] = json.loads(text)
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] |= {"collapsed": True, "scrolled": True, "execution": {"iopub.status.busy": "now"}}
        if cell["cell_type"] == "code":
            stream = {"name": "stdout", "output_type": "stream", "text": ["ran\n"]}
            cell |= {"execution_count": number, "outputs": [stream]}
    notebook["metadata"]["kernelspec"]["display_name"] = "Python 3 (ipykernel)"
    notebook["metadata"]["language_info"] = {"name": "python", "version": "3.12.1"}
    notebook["metadata"]["widgets"] = {"state": {}}
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_that_was_run_and_saved_is_the_committed_one(path: Path) -> None:
    committed = path.read_text(encoding="utf-8")
    assert without_outputs(committed) == committed
    assert without_outputs(saved_by_jupyterlab(committed)) == committed


def test_another_source_or_tag_is_another_notebook() -> None:
    committed = NOTEBOOKS[0].read_text(encoding="utf-8")
    for said in ("concurrency = [1", '"parameters"'):
        assert without_outputs(committed.replace(said, "b")) != committed


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": 3}', '{"cells": [{}]}', "<<<<<<< HEAD\n"])
def test_what_is_no_notebook_stays_as_it_is(text: str) -> None:
    assert without_outputs(text) == text


def test_the_file_is_a_filter_that_needs_nothing_but_python() -> None:
    committed = NOTEBOOKS[0].read_bytes()
    command = [sys.executable, "-I", "-S", notebook_text.__file__]
    given = saved_by_jupyterlab(committed.decode()).encode()
    assert (
        subprocess.run(command, input=given, capture_output=True, timeout=60, check=True).stdout == committed
    )
