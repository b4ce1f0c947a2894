"""`lab compare`, `lab chart` and `lab check`: what they say, and how they exit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lab.measure.measurement import Measurement
from lab.results.csv_file import Results
from tests.support.command_line import CommandLine
from tests.support.measurements import make_measurement

SAMPLE = max(Path(__file__).parents[3].glob("results/baseline-*.csv"))


def write_rows(
    path: Path, measured: Measurement, factor: float = 1.0, *, succeeded: int = 60, trials: int = 5
) -> None:
    """Write a CSV of five trials like `measured`, with `factor` times a throughput of about 100 req/s."""
    failed = measured.outcome.requests - succeeded
    with Results(path, {}) as results:
        for trial in range(1, trials + 1):
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


def test_what_cannot_be_compared_is_said_in_one_line_and_exits_with_2(
    lab: CommandLine, tmp_path: Path
) -> None:
    good = tmp_path / "good.csv"
    write_rows(good, make_measurement())
    spoilt = tmp_path / "spoilt.csv"
    write_rows(spoilt, make_measurement())
    spoilt.write_text(spoilt.read_text() + spoilt.read_text().partition("\n")[2])
    alone = tmp_path / "alone.csv"
    alone.write_text(good.read_text())
    for other in (tmp_path / "none.csv", tmp_path, spoilt, alone):
        done = lab("compare", good, other)
        assert done.returncode == 2
        assert done.stderr.startswith("lab: ")
        assert done.stderr.count("\n") == 1
    unknown = lab("compare", good, good, "--metric", "speed")
    assert unknown.returncode == 2
    assert "throughput_rps" in unknown.stderr
    assert lab("compare", good, good, "--threshold", "nan").returncode == 2
    assert lab("compare", good).returncode == 2


def test_compare_exits_with_3_where_nothing_was_compared_and_with_0_where_that_is_fine(
    lab: CommandLine, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    write_rows(one, make_measurement(), trials=1)
    write_rows(two, make_measurement(), trials=1)
    undecided = lab("compare", one, two)
    assert undecided.returncode == 3
    assert "Too few trials in 1 of 1" in undecided.stdout
    assert lab("compare", one, two, "--undecided-ok").returncode == 0
    assert json.loads(lab("compare", one, two, "--json").stdout)["undecided"] == ["all"]


def test_compare_exits_with_1_where_some_cell_is_worse_and_another_undecided(
    lab: CommandLine, tmp_path: Path
) -> None:
    slow, fast = tmp_path / "slow.csv", tmp_path / "fast.csv"
    for path, factor in ((slow, 0.8), (fast, 1.0)):
        write_rows(path, make_measurement(), factor)
        with Results(path, {}) as results:
            results.append(make_measurement("parallel-c1", topology="parallel"))
    worse = lab("compare", fast, slow, "--undecided-ok")
    assert worse.returncode == 1
    assert lab("compare", slow, fast).returncode == 3


@pytest.mark.parametrize(("slower", "code"), [(1.0, 0), (0.8, 1)])
def test_a_closed_pipe_is_no_failure_and_keeps_the_verdict(tmp_path: Path, slower: float, code: int) -> None:
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    write_rows(a, make_measurement())
    write_rows(b, make_measurement(), slower)
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        (sys.executable, "-m", "lab.cli", "compare", a, b),
        stdout=write_end,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (code, b"")


def test_markdown_for_a_pull_request_has_the_findings_and_the_table(lab: CommandLine, tmp_path: Path) -> None:
    slow, fast = tmp_path / "slow.csv", tmp_path / "fast.csv"
    write_rows(slow, make_measurement(), 0.8)
    write_rows(fast, make_measurement())
    done = lab("compare", fast, slow, "--markdown")
    assert done.returncode == 1
    assert done.stdout.startswith("**B against A in throughput_rps, 1 cells: 1 worse.**")
    assert "| **worse** |" in done.stdout


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


@pytest.mark.parametrize("folder", ["/dev/full", "/proc/pictures", "/dev/null/pictures"])
def test_a_folder_that_cannot_be_made_is_refused_before_anything_is_drawn(
    lab: CommandLine, folder: str
) -> None:
    done = lab("chart", SAMPLE, "--to", folder)
    assert done.returncode == 2
    assert done.stderr.startswith(f"lab: --to {folder} cannot be made")
    assert (len(done.stderr.splitlines()), done.stdout) == (1, "")


@pytest.mark.parametrize("command", [("check",), ("chart",), ("compare", SAMPLE)])
def test_a_device_that_never_ends_is_no_result(lab: CommandLine, command: tuple[str | Path, ...]) -> None:
    done = lab(*command, "/dev/zero")
    assert done.returncode in (1, 2)
    assert done.stderr == "lab: /dev/zero is a device: name a result\n"


@pytest.mark.parametrize("threshold", ["nan", "inf", "1e300", "-1"])
def test_a_threshold_that_is_no_share_is_refused(lab: CommandLine, threshold: str) -> None:
    done = lab("compare", SAMPLE, SAMPLE, "--threshold", threshold)
    assert done.returncode == 2
    assert "--threshold" in done.stderr
    assert len(done.stderr.splitlines()) == 1
