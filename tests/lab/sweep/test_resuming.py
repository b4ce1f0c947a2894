"""A sweep whose last row was torn goes on, and measures that trial again."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.placement.ports import reserved_offset
from lab.results import check, read_measurements
from lab.sweep import plan_sweep, run_sweep
from lab.topology import Topology


@pytest.mark.parametrize("torn", [1, 10])
def test_a_resumed_sweep_measures_the_trial_of_a_torn_row_again_and_says_so(
    tmp_path: Path, torn: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with reserved_offset(Topology.sequential()) as offset:
        plan = plan_sweep(
            "quick",
            name="torn",
            folder=tmp_path,
            port_offset=offset,
            redo_invalid=False,
            topology="sequential",
            concurrency=[1, 2],
            work_ms=1,
            trials=1,
            duration_s=0.4,
            warmup_s=0.1,
        )
        path = run_sweep(plan)
        first, second = read_measurements(path)
        path.write_text(path.read_text()[:-torn])
        capsys.readouterr()
        run_sweep(plan)
    assert "set aside in torn.torn" in capsys.readouterr().err
    kept, anew = read_measurements(path)
    assert check(path) == 2
    assert kept == first
    assert anew.what.cell_id == second.what.cell_id
    assert anew != second, "the torn trial was measured anew"
