"""Print a comparison of results as a table and sentences, or as JSON, and say how to exit."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import typer

from lab.compare.decision import Change, Metric
from lab.errors import BadParameter

if TYPE_CHECKING:
    from lab.compare import Comparison

__all__ = ["as_data", "as_text", "exit_code", "metric_named"]

WORSE = 1
UNDECIDED = 3


def metric_named(name: str) -> Metric:
    """Return the metric with that name. Raises BadParameter, which lists the valid names."""
    try:
        return Metric(name)
    except ValueError:
        raise BadParameter(f"--metric {name} cannot be compared: take one of {', '.join(Metric)}") from None


def exit_code(compared: Comparison, *, undecided_ok: bool) -> int:
    """Return 1 where any cell is worse, else 3 where some cell was not really compared, else 0."""
    if compared.regressions:
        return WORSE
    return UNDECIDED if compared.undecided and not undecided_ok else 0


def as_text(compared: Comparison) -> str:
    """Return one row for each cell, then the conclusion in words; findings are coloured for a terminal."""
    from lab.compare import plain_text

    return plain_text(compared, _coloured)


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
            "undecided": [cell.label for cell in compared.undecided],
            "conditions": compared.conditions,
            "common": dict(compared.common),
        }
    )


def _coloured(finding: Change, text: str) -> str:
    if finding.is_regression:
        return typer.style(text, fg="red")
    return typer.style(text, fg="green") if finding is Change.BETTER else text
