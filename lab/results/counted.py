"""Which rows count: the one place that decides it, for every chart, table and answer.

A row counts for a figure where it is valid and the figure is there: a number that cannot be believed is
blank, in valid rows too. Figures that have no logarithm, 0 and less, say nothing of a typical value.
"""

from __future__ import annotations

import math
from collections import Counter

import pandas as pd

__all__ = ["believed", "counted", "reasons", "trials_told", "uncounted", "valid"]


def valid(rows: pd.DataFrame) -> pd.Series[bool]:
    """Tell which rows are valid; one that does not say so is not."""
    return rows["valid"].astype("boolean").fillna(False).astype(bool)


def counted(rows: pd.DataFrame, figure: str | pd.Series[float]) -> list[float]:
    """Read a figure, a column's name or one value a row, from the rows that count for it."""
    return [value for value in _values(rows, figure)[valid(rows)] if value > 0 and math.isfinite(value)]


def uncounted(rows: pd.DataFrame, figure: str | pd.Series[float]) -> list[float]:
    """Read a figure from invalid rows, one value for each: what may be drawn hollow. NaN where blank."""
    return list(_values(rows, figure)[~valid(rows)])


def reasons(rows: pd.DataFrame) -> list[str]:
    """Count why rows are invalid, most frequent first: "not_steady 2"."""
    texts = rows.loc[~valid(rows), "invalid_reason"].dropna()
    named = Counter(reason for text in texts for reason in str(text).split())
    return [f"{reason} {count}" for reason, count in named.most_common()]


def believed(rows: pd.DataFrame) -> str:
    """Tell how many rows are valid, and why the others are not: "5 of 6 (not_steady 1)"."""
    why = ", ".join(reasons(rows))
    return f"{int(valid(rows).sum())} of {len(rows)}{f' ({why})' if why else ''}"


def trials_told(rows: pd.DataFrame) -> str:
    """Say in a sentence how many trials are valid, and why the others are not."""
    if not len(rows):
        return "No trial was measured."
    if valid(rows).all():
        return f"All {len(rows)} trials are valid."
    why = ", ".join(reasons(rows)) or "invalid without a reason"
    return f"{int(valid(rows).sum())} of {len(rows)} trials are valid; the others were {why}."


def _values(rows: pd.DataFrame, figure: str | pd.Series[float]) -> pd.Series[float]:
    return (rows[figure] if isinstance(figure, str) else figure).astype(float)
