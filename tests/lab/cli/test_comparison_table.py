"""A comparison as it is printed."""

from __future__ import annotations

import pytest

from lab.cli.comparison_table import print_comparison
from lab.compare import CellComparison, Change, Comparison, Metric
from lab.measure.statistics import Interval

NAN = float("nan")


def test_what_cannot_be_said_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    cell = CellComparison(
        label="all",
        trials_a=0,
        trials_b=1,
        median_a=NAN,
        median_b=2.0,
        ratio=Interval(NAN, NAN, NAN),
        p=NAN,
        finding=Change.TOO_FEW_TRIALS,
    )
    print_comparison(Comparison(Metric.THROUGHPUT, 0.05, (cell,), (), (), {}))
    said = capsys.readouterr().out
    assert said.count("–") == 3
    assert "nan" not in said
