"""docs/reading.md names the files that are passed in fact, and no way is longer than it has to be."""

from __future__ import annotations

import asyncio
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lab.load.result import LoadResult
from lab.measure.percentiles import sample_floor
from lab.placement.ports import reserved_offset
from lab.results.csv_file import Results
from lab.sweep import plan_sweep, run_sweep, trial
from lab.topology import Topology
from tests.support.balancing import balanced, echo, post
from tests.support.tracing import ROOT, FilesCalled

LONGEST_REQUEST = 16
LONGEST_ROW = 18


def files_told_of(heading: str) -> list[str]:
    """The files of the first list below that heading."""
    text = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    listed = section.partition("\n1. ")[2].partition("\n\n")[0]
    return re.findall(r"^(?:\d+\. )?`([^`]+)`", listed, re.MULTILINE)


async def test_the_first_request_on_a_new_connection_passes_few_files_and_they_are_the_documented_ones() -> (
    None
):
    async with balanced(echo) as b:
        await asyncio.sleep(0)  # what starting has left to do in the loop's next turn is no part of the way
        with FilesCalled("services") as called:
            response = await b.ask(post(b"x", headers="X-Never-Seen-Before: 1\r\n"))
        assert (response.status, response.body) == (200, b"service1a:x")
    assert len(called.files) <= LONGEST_REQUEST, called.files
    assert sorted(called.files) == sorted(files_told_of("The way of a request"))


def test_a_row_passes_few_files_to_its_csv_and_they_are_the_documented_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_floor.cache_clear()  # an earlier test may have filled it
    called = FilesCalled("lab", "services")
    tracing = ExitStack()
    run, append = trial.run, Results.append

    def ran(*arguments: Any, **named: Any) -> LoadResult:
        load = run(*arguments, **named)
        tracing.enter_context(called)
        return load

    def appended(*arguments: Any) -> None:
        append(*arguments)
        tracing.close()

    monkeypatch.setattr(trial, "run", ran)
    monkeypatch.setattr(Results, "append", appended)
    factors: dict[str, Any] = {
        "redo_invalid": False,
        "topology": "parallel",
        "concurrency": 2,
        "work_ms": 1,
        "duration_s": 0.5,
    }
    with reserved_offset(Topology.parallel()) as offset:
        run_sweep(plan_sweep("quick", name="small", folder=tmp_path, port_offset=offset, trials=1, **factors))
    assert len(called.files) <= LONGEST_ROW, called.files
    # A window that a busy machine left too few responses in tells no drift from chance.
    assert {*called.files, "lab/measure/statistics.py"} == set(files_told_of("The way of a row"))
