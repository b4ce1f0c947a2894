"""The answers at the end of notebooks: what the rows say of the question, in sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from lab.charts.findings import Claim, Finding, caption, findings_of
from lab.compare import Change as ComparedAs
from lab.compare import Comparison
from lab.expectations import RATIO, Verdict
from lab.measure.validity import MEANING, InvalidReason
from lab.results.counted import trials_told, valid
from lab.rounding import number, trimmed

if TYPE_CHECKING:
    from lab.saturation import Saturation

__all__ = ["Answer", "answer", "capacity_answer", "outcome"]

_OPENINGS = {
    Verdict.WITHIN: f"Yes: {RATIO} is what it does.",
    Verdict.ABOVE: f"It does more than {RATIO}.",
    Verdict.BELOW: f"No: it does not reach {RATIO}.",
    Verdict.UNDECIDED: f"Whether it does {RATIO} is undecided.",
}
_MOVED = {
    ComparedAs.WORSE: "worse",
    ComparedAs.NOTHING_SUCCEEDED: "in which nothing succeeded",
    ComparedAs.FAILS_MORE: "that fail more",
    ComparedAs.BETTER: "better",
}
_REGIME = ("placement", "client", "work", "work_ms", "work_distribution", "slots", "tuning")


@dataclass(frozen=True, slots=True)
class Answer:
    """Sentences in Markdown. A notebook renders them; `print` shows them as they are."""

    text: str

    def __str__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def answer(rows: pd.DataFrame) -> Answer:
    """Say whether parallel does three to four times what sequential does, and what that rests on."""
    ratios = findings_of(rows, Claim.RATIO)
    others = [found for claim in (Claim.THROUGHPUT, Claim.LATENCY) for found in findings_of(rows, claim)]
    paragraphs = [
        *(_opening(ratio) for ratio in ratios),
        caption([*ratios, *others]) if valid(rows).any() else "",
        _regime(rows[valid(rows)]),
        trials_told(rows),
    ]
    return Answer("\n\n".join(filter(None, paragraphs)))


def _opening(ratio: Finding) -> str:
    opening = _OPENINGS[ratio.verdict]
    return f"**With {ratio.panel}: {opening[0].lower()}{opening[1:]}**" if ratio.panel else f"**{opening}**"


def _regime(rows: pd.DataFrame) -> str:
    """Name the factors that the figures hold for."""
    levels = {name: " or ".join(_levels(rows, name)) for name in _REGIME}
    told = [f"{name} `{of}`" for name, of in levels.items() if of]
    return f"This holds for {', '.join(told)}." if told else ""


def _levels(rows: pd.DataFrame, name: str) -> list[str]:
    return [str(level) for level in rows[name].dropna().unique()]


def outcome(compared: Comparison) -> Answer:
    """Say whether B is better or worse than A in any cell, where nothing was compared, and under what."""
    told = {f: sum(cell.finding is f for cell in compared.cells) for f in ComparedAs}
    moved = [f"{told[finding]} {name}" for finding, name in _MOVED.items() if told[finding]]
    shown = f"Of {len(compared.cells)} cells, {' and '.join(moved)}" if moved else "No difference is shown"
    if len(compared.undecided) == len(compared.cells):
        shown = "Nothing can be said: no cell has enough trials"
    mean = f"The geometric mean of the ratios B / A in {compared.metric} is {compared.geometric_mean:.3f}."
    rest = ["" if math.isnan(compared.geometric_mean) else mean, compared.wanting(), compared.conditions]
    return Answer(" ".join([f"**{shown}.**", *filter(None, rest)]))


def capacity_answer(saturation: Saturation, rows: pd.DataFrame) -> Answer:
    """Say which rate the search found the service to sustain, and how many trials below it are valid."""
    kept = saturation.highest_kept
    if kept is not None:
        opening = f"The service sustains {trimmed(number(kept))} req/s."
        return Answer(f"**{opening}** {saturation.sentence()}\n\n{trials_told(rows)}")
    broken = saturation.lowest_broken is not None
    opening = "The service keeps the goal at no rate tried." if broken else "Nothing is known of the service."
    return Answer(f"**{opening}** {saturation.sentence()}\n\n{_remedy(saturation)}")


def _remedy(saturation: Saturation) -> str:
    """Say what to do where no rate keeps the goal."""
    if saturation.nothing_succeeded:
        return "See whether url, method, headers and body are what the service takes."
    if saturation.lowest_broken is not None:
        return "Loosen the goal, or see what its requests fail of."
    last = saturation.probes[-1].health.invalid_reason if saturation.probes else None
    named = [InvalidReason(name) for name in (last or InvalidReason.TOO_FEW_SAMPLES).split()]
    return f"The last probe says why: {'; '.join(MEANING[reason] for reason in named)}."
