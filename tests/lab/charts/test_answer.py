"""The answer at the end of a notebook says what the rows show, for what it holds, and on how many trials."""

from __future__ import annotations

from typing import Any

import pytest

from lab.charts import answer
from tests.support.chart_rows import made_up_rows


@pytest.mark.parametrize(
    ("factor", "opening"),
    [
        (0.9, "**Yes: 3–4× is what it does.**"),
        (1.2, "**It does more than 3–4×.**"),
        (0.5, "**No: it does not reach 3–4×.**"),
        (0.99, "**Yes: 3–4× is what it does.**"),
        (0.757, "**Whether it does 3–4× is undecided.**"),
    ],
)
def test_it_opens_with_the_verdict_on_the_ratio(factor: float, opening: str) -> None:
    def scale(made: list[dict[str, Any]]) -> None:
        for row in made:
            row["throughput_rps"] *= factor if row["topology"] == "parallel" else 1

    assert str(answer(made_up_rows(scale))).startswith(opening)


def test_it_says_for_what_it_holds_and_on_how_many_trials() -> None:
    text = str(answer(made_up_rows()))
    assert "placement `in-process`, client `httpx`, work `io`, work_ms `40`" in text
    assert text.endswith("All 24 trials are valid.")


def test_it_names_why_trials_do_not_count() -> None:
    def spoil(made: list[dict[str, Any]]) -> None:
        made[0] |= {"valid": "false", "invalid_reason": "generator_bound"}

    assert str(answer(made_up_rows(spoil))).endswith(
        "23 of 24 trials are valid; the others were generator_bound 1."
    )


def test_of_one_topology_alone_no_ratio_is_said() -> None:
    def alone(made: list[dict[str, Any]]) -> None:
        made[:] = [row for row in made if row["topology"] == "sequential"]

    text = str(answer(made_up_rows(alone)))
    assert "3–4×" not in text
    assert "Sequential throughput at concurrency 1" in text
