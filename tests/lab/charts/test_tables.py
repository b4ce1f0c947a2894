"""The tables say in text what the charts show."""

from __future__ import annotations

from typing import Any

from lab.charts import cells, verdicts
from lab.charts.series import panels_of
from tests.support.chart_rows import made_up_rows


def test_every_claim_has_a_line_with_its_verdict_and_a_mark_that_needs_no_colour() -> None:
    table = verdicts(made_up_rows())
    assert len(table.rows) == 5
    assert {line[-1].split()[0] for line in table.rows} <= {"✓", "▲", "▼", "?"}
    assert table.rows[0][:1] == ("Sequential throughput at concurrency 1",)
    assert table.rows[0][-1] == "✓ within"


def test_every_cell_has_a_line_with_what_was_invalid_in_it() -> None:
    def spoil(made: list[dict[str, Any]]) -> None:
        made[0] |= {"valid": "false", "invalid_reason": "littles_law not_steady"}
        made[1] |= {"valid": "false", "invalid_reason": "not_steady", "disturbed_by": "others"}
        made[2] |= {"disturbed_by": "others", "disturbance_share": 0.081}

    first, *others = cells(made_up_rows(spoil)).rows
    assert first[:3] == ("sequential", "concurrency 1", "1 of 3")
    assert first[-2:] == ("not_steady 2, littles_law 1", "others 2 (up to 8%)")
    assert len(others) == 7
    assert {line[-2:] for line in others} == {("", "")}


def test_an_interval_that_is_not_known_is_not_printed() -> None:
    for table in (cells(made_up_rows(trials=1)), verdicts(made_up_rows(trials=1))):
        assert "nan" not in str(table)


def test_a_table_is_markdown() -> None:
    lines = str(verdicts(made_up_rows())).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert lines[1].replace(" ", "") == "|:--|:--|:--|:--|:--|"


def test_cells_that_differ_in_their_tuning_stand_apart_and_are_named_by_it() -> None:
    def tuned(made: list[dict[str, Any]]) -> None:
        made += [row | {"tuning": "retry_ratio=0"} for row in made if row["topology"] == "parallel"]

    names = [line[0] for line in cells(made_up_rows(tuned, concurrencies=(1,))).rows]
    assert names == [
        "sequential, no tuning",
        "parallel, no tuning",
        "sequential, retry_ratio=0",
        "parallel, retry_ratio=0",
    ]
    assert [panel.label for panel in panels_of(made_up_rows(concurrencies=(1,)))] == [""]
    rows = made_up_rows(tuned, concurrencies=(1,))
    (panel,) = panels_of(rows[rows["topology"] == "parallel"], series="tuning")
    assert [series.name for series in panel.series] == ["no tuning", "retry_ratio=0"]
