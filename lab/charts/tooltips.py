"""What a mark says under the pointer: the rows it stands for, trial by trial, with interval and validity."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence

import pandas as pd
from matplotlib.artist import Artist

from lab.measure.statistics import log_interval
from lab.results.counted import believed, counted, valid
from lab.rounding import interval_text, number

__all__ = ["cell_tip", "tell", "tips_in", "trial_tips"]

_TIPS = "tips:"
_MOST = 12
"""How many trials a tooltip lists."""


def tell(artist: Artist, *tips: str) -> None:
    """Have an artist say in a tooltip what it stands for: one text for all of it, or one for each mark."""
    artist.set_gid(_TIPS + json.dumps(tips))


def tips_in(gid: str) -> Sequence[str]:
    """Read what `tell` put into an artist's gid; empty for any other gid."""
    return json.loads(gid.removeprefix(_TIPS)) if gid.startswith(_TIPS) else ()


def cell_tip(name: str, what: str, rows: pd.DataFrame, figure: str | pd.Series[float]) -> str:
    """Describe a cell: the estimate of a figure, its 95 % interval, and every trial.

    `figure` is a column's name, or one value a row; `what` names it with its unit.
    """
    rows = _of(rows, figure)
    of = log_interval(counted(rows, figure))
    told = interval_text(of.estimate, of.low, of.high) + (", 95 % interval" if of.known else "")
    trials = [*_trials(rows, figure)]
    more = [f"and {len(trials) - _MOST} more"] if len(trials) > _MOST else []
    lines = [name, f"{what}: {told}", f"{believed(rows)} trials valid", *trials[:_MOST], *more]
    return "\n".join(lines)


def trial_tips(name: str, what: str, rows: pd.DataFrame, figure: str | pd.Series[float]) -> list[str]:
    """Describe each invalid trial, in the order of `lab.results.counted.uncounted`."""
    rows = _of(rows, figure)
    told = [*_trials(rows, figure)]
    return [f"{name}\n{what}, {each}" for each, ok in zip(told, valid(rows), strict=True) if not ok]


def _of(rows: pd.DataFrame, figure: str | pd.Series[float]) -> pd.DataFrame:
    """Select the rows that the figure was computed of."""
    return rows if isinstance(figure, str) else rows.loc[figure.index]


def _trials(rows: pd.DataFrame, figure: str | pd.Series[float]) -> Iterator[str]:
    values = (rows[figure] if isinstance(figure, str) else figure).astype(float)
    reasons = rows["invalid_reason"].fillna("without a reason")
    for trial, value, ok, reason in zip(rows["trial"], values, valid(rows), reasons, strict=True):
        why = "" if ok else f", invalid: {reason}"
        yield f"trial {trial}: {'blank' if math.isnan(value) else number(value, 4)}{why}"
