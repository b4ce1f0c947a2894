"""A comparison has a line for each cell, and a mark for what was found of it."""

from __future__ import annotations

from typing import Any

from lab import charts
from lab.compare import compare
from tests.support.chart_rows import made_up_rows


def test_a_comparison_has_a_line_for_each_cell_and_a_mark_for_each_finding() -> None:
    def slower(made: list[dict[str, Any]]) -> None:
        for row in made:
            if row["topology"] == "parallel":
                row["throughput_rps"] *= 0.8

    chart = charts.comparison(compare(made_up_rows(trials=8), made_up_rows(slower, trials=8)))
    (ax,) = chart.figure.axes
    assert len(ax.get_yticklabels()) == 8
    marked = [str(line.get_marker()) for line in ax.get_lines() if line.get_marker() != "None"]
    assert sorted(marked) == ["o"] * 4 + ["v"] * 4
    assert "Worse in 4 of 8" in chart.caption


def test_a_comparison_marks_cells_in_which_nothing_succeeded_though_they_have_no_ratio() -> None:
    def break_all(made: list[dict[str, Any]]) -> None:
        for row in made:
            row |= {"succeeded": 0, "failed": 100, "throughput_rps": "", "valid": "false"}

    compared = compare(made_up_rows(), made_up_rows(break_all))
    chart = charts.comparison(compared)
    (ax,) = chart.figure.axes
    assert [str(line.get_marker()) for line in ax.get_lines()].count("X") == 8
    (legend,) = chart.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["nothing succeeded"]
    assert str(charts.outcome(compared)) == "**Of 8 cells, 8 in which nothing succeeded.**"


def test_a_cell_is_named_by_what_tells_it_apart_and_by_nothing_that_follows_from_that() -> None:
    (ax,) = charts.comparison(compare(made_up_rows(trials=8), made_up_rows(trials=8))).figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()][:1] == ["topology sequential, concurrency 1"]
