"""Rows are held against the documented claims where these can be judged, and nowhere else."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lab.charts import Claim, findings_of
from lab.expectations import Verdict
from tests.support.chart_rows import made_up_rows


def verdicts(frame: Any, claim: Claim) -> list[Verdict]:
    return [finding.verdict for finding in findings_of(frame, claim)]


def scaled(column: str, factor: float, topology: str) -> Any:
    def change(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            if row["topology"] == topology:
                row[column] *= factor

    return change


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1, Verdict.WITHIN), (5, Verdict.ABOVE), (0.5, Verdict.BELOW), (0.842, Verdict.UNDECIDED)],
)
def test_throughput_is_judged_at_the_documented_concurrency(factor: float, verdict: Verdict) -> None:
    frame = made_up_rows(scaled("throughput_rps", factor, "sequential"))
    found = {finding.what: finding.verdict for finding in findings_of(frame, Claim.THROUGHPUT)}
    assert found == {
        "Sequential throughput at concurrency 1": verdict,
        "Parallel throughput at concurrency 3": Verdict.WITHIN,
    }


def test_latency_is_judged_by_the_mean() -> None:
    assert verdicts(made_up_rows(scaled("response_time_mean_ms", 2, "parallel")), Claim.LATENCY) == [
        Verdict.WITHIN,
        Verdict.ABOVE,
    ]


def test_the_ratio_is_that_of_the_highest_shared_concurrency_and_said_with_its_interval() -> None:
    (found,) = findings_of(made_up_rows(scaled("throughput_rps", 0.9, "parallel")), Claim.RATIO)
    assert 3.4 < found.interval.low < found.interval.estimate < found.interval.high < 3.8
    assert found.verdict is Verdict.WITHIN
    assert str(found).startswith("Parallel over sequential throughput at concurrency 32 (3.6")
    assert "within the documented 3–4×" in str(found)


def test_below_saturation_the_ratio_is_undecided_and_says_why() -> None:
    (found,) = findings_of(made_up_rows(concurrencies=(1, 3, 8)), Claim.RATIO)
    assert found.verdict is Verdict.UNDECIDED
    assert "not measured at saturation" in str(found)


def test_one_trial_leaves_everything_undecided() -> None:
    frame = made_up_rows(trials=1)
    assert {verdict for claim in Claim for verdict in verdicts(frame, claim)} == {Verdict.UNDECIDED}
    assert all("too few valid trials" in str(found) for found in findings_of(frame, Claim.THROUGHPUT))


def test_invalid_trials_count_for_nothing() -> None:
    def spoil(made: list[dict[str, Any]]) -> None:
        made[0] |= {"valid": "false", "throughput_rps": 1000}

    (sequential, _) = findings_of(made_up_rows(spoil), Claim.THROUGHPUT)
    assert sequential.interval.high < 10


def test_without_any_valid_trial_nothing_is_said_of_it() -> None:
    def spoil(made: list[dict[str, Any]]) -> None:
        for row in made:
            row |= {"valid": "false"}

    for claim in Claim:
        for found in findings_of(made_up_rows(spoil), claim):
            assert math.isnan(found.interval.estimate)
            assert found.verdict is Verdict.UNDECIDED
            assert "nan" not in str(found)


def test_other_replicas_than_the_documented_are_not_judged() -> None:
    def shrink(made: list[dict[str, Any]]) -> None:
        for row in made:
            row["replicas"] = 2 if row["topology"] == "parallel" else 1

    assert [f.what for f in findings_of(made_up_rows(shrink), Claim.THROUGHPUT)] == [
        "Sequential throughput at concurrency 1"
    ]


def test_what_else_varies_is_judged_apart_and_named() -> None:
    def mixed(made: list[dict[str, Any]]) -> None:
        made += [row | {"client": "wire", "throughput_rps": row["throughput_rps"] * 5} for row in made]

    found = {
        (f.panel, f.what.split()[0]): f.verdict for f in findings_of(made_up_rows(mixed), Claim.THROUGHPUT)
    }
    assert found == {
        ("httpx", "Sequential"): Verdict.WITHIN,
        ("httpx", "Parallel"): Verdict.WITHIN,
        ("wire", "Sequential"): Verdict.ABOVE,
        ("wire", "Parallel"): Verdict.WITHIN,
    }


def test_what_does_not_apply_to_sequential_keeps_it_out_of_no_comparison() -> None:
    def policies(made: list[dict[str, Any]]) -> None:
        made += [row | {"policy": "random"} for row in made if row["topology"] == "parallel"]

    assert len(findings_of(made_up_rows(policies), Claim.RATIO)) == 2
