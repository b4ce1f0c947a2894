"""`lab compare`, `lab chart` and `lab check`: what they say, and how they exit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from lab.measure.measurement import Measurement
from lab.results.csv_file import Results
from tests.support.command_line import CommandLine
from tests.support.measurements import make_measurement

SAMPLE = max(Path(__file__).parents[3].glob("results/baseline-*.csv"))


def write_rows(path: Path, measured: Measurement, factor: float = 1.0, *, succeeded: int = 60) -> None:
    """Write a CSV of five trials like `measured`, with `factor` times a throughput of about 100 req/s."""
    failed = measured.outcome.requests - succeeded
    with Results(path, {}) as results:
        for trial in range(1, 6):
            outcome = replace(
                measured.outcome,
                succeeded=succeeded,
                failed=failed,
                failures=f"refused={failed}",
                throughput_rps=factor * (100 + trial) if succeeded else None,
            )
            results.append(replace(measured, what=replace(measured.what, trial=trial), outcome=outcome))


def test_compare_exits_with_1_only_where_b_is_worse(lab: CommandLine, tmp_path: Path) -> None:
    slow, fast = tmp_path / "slow.csv", tmp_path / "fast.csv"
    write_rows(slow, make_measurement(), 0.8)
    write_rows(fast, make_measurement())
    assert lab("compare", slow, fast).returncode == 0
    worse = lab("compare", fast, slow)
    assert worse.returncode == 1
    assert "Worse in 1 of 1" in worse.stdout
    assert lab("compare", fast, slow, "--threshold", 0.5).returncode == 0
    assert json.loads(lab("compare", fast, slow, "--json").stdout)["regressions"]


def test_compare_exits_with_1_where_b_answered_nothing(lab: CommandLine, tmp_path: Path) -> None:
    good, broken = tmp_path / "good.csv", tmp_path / "broken.csv"
    write_rows(good, make_measurement())
    write_rows(broken, make_measurement(), succeeded=0)
    done = lab("compare", good, broken)
    assert done.returncode == 1
    assert "Nothing succeeded in 1 of 1" in done.stdout
    assert json.loads(lab("compare", good, broken, "--json").stdout)["regressions"]


def test_what_cannot_be_compared_is_said_in_one_line(lab: CommandLine, tmp_path: Path) -> None:
    done = lab("compare", tmp_path / "a.csv", tmp_path / "b.csv")
    assert done.returncode == 1
    assert done.stderr.startswith("lab: ")
    unknown = lab("compare", "a.csv", "b.csv", "--metric", "speed")
    assert unknown.returncode == 2
    assert "throughput_rps" in unknown.stderr


def test_chart_draws_a_result_and_says_what_it_shows(lab: CommandLine, tmp_path: Path) -> None:
    done = lab("chart", SAMPLE, "--to", tmp_path)
    assert done.returncode == 0
    for name in ("throughput", "latency", "where-the-time-went"):
        assert (tmp_path / f"{SAMPLE.stem}-{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "documented 5–20 req/s" in done.stdout


def test_check_counts_the_rows_that_keep_the_contract_of_columns(lab: CommandLine) -> None:
    done = lab("check", SAMPLE)
    assert done.returncode == 0
    assert "rows, all as the schema says" in done.stdout
