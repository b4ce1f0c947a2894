"""Print a comparison of results as a table and sentences, or as JSON."""

from __future__ import annotations

import json
import math

from rich.console import Console
from rich.table import Table

from lab.compare import CellComparison, Change, Comparison, Metric
from lab.errors import BadParameter

__all__ = ["as_data", "metric_named", "print_comparison"]


def metric_named(name: str) -> Metric:
    """Return the metric with that name. Raises BadParameter, which lists the valid names."""
    try:
        return Metric(name)
    except ValueError:
        raise BadParameter(f"--metric {name} cannot be compared: take one of {', '.join(Metric)}") from None


def print_comparison(compared: Comparison) -> None:
    """Print one row for each cell, then the conclusion in words."""
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    for heading in ("trials", "A", "B", "B / A", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("finding", no_wrap=True)
    for cell in compared.cells:
        colour = _colour(cell.finding)
        table.add_row(*_cells(cell), f"[{colour}]{cell.finding}[/{colour}]")
    console.print(f"{compared.metric}, medians over valid trials; ratios with 95 % intervals")
    console.print(table)
    for sentence in compared.sentences():
        console.print(sentence, soft_wrap=True, markup=False)


def as_data(compared: Comparison) -> str:
    """Return the comparison as the text of one JSON object."""
    frame = compared.frame()
    return json.dumps(
        {
            "metric": compared.metric,
            "threshold": compared.threshold,
            "cells": json.loads(frame.to_json(orient="records")),
            "geometric_mean": None if math.isnan(compared.geometric_mean) else compared.geometric_mean,
            "regressions": [cell.label for cell in compared.regressions],
            "sentences": compared.sentences(),
        }
    )


def _colour(finding: Change) -> str:
    if finding.is_regression:
        return "red"
    return "green" if finding is Change.BETTER else "default"


def _cells(cell: CellComparison) -> tuple[str, ...]:
    ratio = cell.ratio
    ends = f" ({ratio.low:.3f}–{ratio.high:.3f})" if ratio.known else ""
    return (
        cell.label,
        f"{cell.trials_a} : {cell.trials_b}",
        _figure(cell.median_a, ".4g"),
        _figure(cell.median_b, ".4g"),
        f"{_figure(ratio.estimate, '.3f')}{ends}",
        _figure(cell.p, ".3g"),
    )


def _figure(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)
