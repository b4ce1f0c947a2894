"""A comparison as a table that people can read, in 80 columns and in a comment."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product

import pytest

from lab.compare import CellComparison, Change, Comparison, Metric, Report, plain_text
from lab.measure.statistics import Interval

NAN = math.nan
CELL = CellComparison(
    label="concurrency 1",
    trials_a=3,
    trials_b=3,
    median_a=12345.678,
    median_b=2.0,
    ratio=Interval(0.9, 0.8, 1.1),
    p=NAN,
    finding=Change.NO_DIFFERENCE_SHOWN,
    levels=("1",),
)
COMMON = {
    "placement": "in-process",
    "corpus": "/a/rather/long/path/to/some/corpus/texts.txt",
    "slots": "1",
}


def compared(*cells: CellComparison, named_by: tuple[str, ...] = ("concurrency",)) -> Comparison:
    return Comparison(Metric.THROUGHPUT, 0.05, cells, (), (), {}, named_by=named_by, common=COMMON)


def grid(**factors: list[str]) -> Comparison:
    levels = list(product(*factors.values()))
    cells = (replace(CELL, levels=each, label=", ".join(each)) for each in levels)
    return compared(*cells, named_by=tuple(factors))


MANY = grid(
    topology=["sequential", "parallel"],
    work_distribution=["constant", "exponential"],
    concurrency=["1", "2", "3", "4", "8", "16", "32"],
)
LONG = grid(
    client=["httpx-per-request", "aiohttp"],
    balancer=["builtin", "haproxy"],
    work_ms=["40", "1,2.5,100,0.25"],
    corpus=["/a/path/that/is/quite/long/enough/texts.txt", "pydoc_data.topics"],
)


@pytest.mark.parametrize("comparison", [MANY, LONG, compared(CELL)])
def test_no_line_is_wider_than_80_columns_and_nothing_is_cut(comparison: Comparison) -> None:
    text = plain_text(comparison)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for cell in comparison.cells:
        for level in cell.levels:
            assert level in text


def test_28_cells_take_few_lines_more_than_28() -> None:
    assert len(plain_text(MANY).splitlines()) <= 28 + 16


@pytest.mark.parametrize("write", [plain_text, lambda c: str(Report(c))])
def test_what_is_the_same_in_all_cells_stands_once_above(write: object) -> None:
    assert callable(write)
    text = write(MANY)
    assert text.count("in-process") == 1
    assert text.index("in-process") < text.index("sequential")


def test_a_cell_is_named_by_what_differs_alone() -> None:
    lines = plain_text(compared(CELL, replace(CELL, levels=("32",)))).splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("1 ", "32 "))] == ["1", "32"]


def test_numbers_of_trials_have_a_column_only_where_they_vary() -> None:
    assert "Trials in each cell: 3 of A, 3 of B." in plain_text(compared(CELL, CELL))
    uneven = plain_text(compared(CELL, replace(CELL, trials_b=2)))
    assert "Trials in each cell" not in uneven
    assert "3:2" in uneven


def test_ranks_have_a_column_only_where_they_could_decide() -> None:
    assert "ranks" not in plain_text(compared(CELL))
    assert "p (ranks)" in plain_text(compared(replace(CELL, p=0.03)))


@pytest.mark.parametrize("high", [0.9996, 0.99999])
def test_an_interval_beside_worse_does_not_read_as_if_it_held_1(high: float) -> None:
    worse = replace(CELL, ratio=Interval(0.9, 0.81, high), finding=Change.WORSE)
    for text in (plain_text(compared(worse)), str(Report(compared(worse)))):
        assert "–1.000" not in text
        assert f"–{high}" in text


def test_what_cannot_be_said_is_a_dash() -> None:
    nothing = replace(
        CELL, trials_a=0, median_a=NAN, ratio=Interval(NAN, NAN, NAN), finding=Change.TOO_FEW_TRIALS
    )
    assert "too few trials" in plain_text(compared(nothing))
    assert "nan" not in plain_text(compared(nothing))


def test_a_comparison_of_very_many_cells_fits_into_a_comment_and_counts_what_it_leaves_out() -> None:
    cells = [replace(CELL, levels=(f"{n}",), label=f"concurrency {n}") for n in range(5000)]
    cells[4000] = replace(cells[4000], ratio=Interval(0.5, 0.4, 0.6), finding=Change.WORSE)
    text = str(Report(compared(*cells)))
    assert len(text) < 65_536
    assert "cells more" in text
    assert text.index("| 4000 |") < text.index("| 0 |")


def test_a_level_with_a_pipe_or_a_tag_breaks_no_table() -> None:
    text = str(Report(compared(replace(CELL, levels=("a|b<script>",)))))
    assert r"a\|b&lt;script>" in text
