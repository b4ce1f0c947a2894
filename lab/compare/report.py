"""A comparison as a table: in plain text of 80 columns, or in Markdown for a notebook and a pull request.

Factors that are the same in all cells stand once, above; a cell is named by what tells it apart.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from lab.compare.comparison import CellComparison, Comparison
from lab.compare.decision import Change

__all__ = ["Report", "plain_text"]

WIDTH = 80
COMMENT = 60_000
"""Characters that fit into a comment on GitHub, which takes 65,536, with room for a few words."""
_GAP = "  "
Style = Callable[[Change, str], str]
"""A function that colours a finding, given its text."""


def plain_text(compared: Comparison, style: Style = lambda _, text: text) -> str:
    """Return the comparison as text of 80 columns; a figure or name is never cut."""
    above = [
        f"{compared.metric}: medians over valid trials, and B / A of the geometric means with the interval "
        "that decides (95 % for all cells together).",
        *_above(compared),
    ]
    parts = ["\n".join(map(_wrapped, above)), _table(compared, style)]
    return "\n\n".join([*parts, "\n".join(map(_wrapped, compared.sentences()))])


@dataclass(frozen=True, slots=True)
class Report:
    """A comparison in Markdown. A notebook renders it; `print` shows it as text for a pull request."""

    compared: Comparison

    def __str__(self) -> str:
        """Write it so that it fits into a comment: what is left out is counted."""
        said = [f"- {_escaped(sentence)}" for sentence in self.compared.sentences()]
        return "\n".join([f"**{_headline(self.compared)}**", "", *map(_shortened, said), "", self.table()])

    def _repr_markdown_(self) -> str:
        return self.table()

    def table(self) -> str:
        """Return the table alone, and above it what is the same in all cells."""
        columns = [*self.compared.named_by, *_headings(self.compared)]
        rules = [*(":--" for _ in self.compared.named_by), *("--:" for _ in _headings(self.compared)[:-1])]
        lines = [_line(columns), _line([*rules, ":--"])]
        size = sum(map(len, lines))
        cells = sorted(self.compared.cells, key=_urgency)
        for number, cell in enumerate(cells):
            bold = "**" if cell.finding in _MOVED else ""
            figures = _figures(self.compared, cell)
            line = _line([*cell.levels, *figures[:-1], f"{bold}{figures[-1]}{bold}"])
            size += len(line) + 1
            if size > COMMENT // 2:
                left = len(cells) - number
                lines += ["", f"… and {left} cells more: `lab compare` without `--markdown` shows all."]
                break
            lines.append(line)
        return "\n\n".join([*map(_escaped, map(_shortened, _above(self.compared))), "\n".join(lines)])


_MOVED = (Change.WORSE, Change.NOTHING_SUCCEEDED, Change.FAILS_MORE, Change.BETTER)


def _urgency(cell: CellComparison) -> bool:
    return cell.finding not in _MOVED


def _headline(compared: Comparison) -> str:
    told = [f"{sum(c.finding is f for c in compared.cells)} {f}" for f in Change if _any(compared, f)]
    return f"B against A in {compared.metric}, {len(compared.cells)} cells: {', '.join(told)}."


def _any(compared: Comparison, finding: Change) -> bool:
    return any(cell.finding is finding for cell in compared.cells)


def _above(compared: Comparison) -> Iterator[str]:
    if compared.common:
        yield f"The same in all cells: {', '.join(f'{n} {level}' for n, level in compared.common.items())}."
    if not _trials_vary(compared):
        cell = compared.cells[0]
        yield f"Trials in each cell: {cell.trials_a} of A, {cell.trials_b} of B."


def _trials_vary(compared: Comparison) -> bool:
    return len({(cell.trials_a, cell.trials_b) for cell in compared.cells}) > 1


def _ranks_decide(compared: Comparison) -> bool:
    return not all(math.isnan(cell.p) for cell in compared.cells)


def _headings(compared: Comparison) -> list[str]:
    trials = ["trials"] if _trials_vary(compared) else []
    ranks = ["p (ranks)"] if _ranks_decide(compared) else []
    return [*trials, "A", "B", "B / A", "interval", *ranks, "finding"]


def _figures(compared: Comparison, cell: CellComparison) -> list[str]:
    trials = [f"{cell.trials_a}:{cell.trials_b}"] if _trials_vary(compared) else []
    ranks = [_figure(cell.p, ".2g")] if _ranks_decide(compared) else []
    ratio = cell.ratio
    medians = [_figure(cell.median_a, ".4g"), _figure(cell.median_b, ".4g")]
    return [*trials, *medians, _figure(ratio.estimate, ".3f"), _ends(cell), *ranks, str(cell.finding)]


def _ends(cell: CellComparison) -> str:
    """Return the interval with as many digits as it takes not to touch 1 where it excludes 1."""
    ratio = cell.ratio
    if not ratio.known:
        return "–"
    for digits in range(3, 9):
        low, high = f"{ratio.low:.{digits}f}", f"{ratio.high:.{digits}f}"
        if (float(low) <= 1 <= float(high)) == (1 in ratio):
            break
    return f"{low}–{high}" if ratio.high < 1000 else f"{low} and up"


def _figure(value: float, form: str) -> str:
    return "–" if math.isnan(value) else format(value, form)


def _table(compared: Comparison, style: Style) -> str:
    """Set the cells as columns; the first factors become lines of their own until the rest is narrow."""
    headings = _headings(compared)
    figures = [_figures(compared, cell) for cell in compared.cells]
    for apart in range(len(compared.named_by) + 1):
        names = [*compared.named_by[apart:], *headings]
        rows = [[*c.levels[apart:], *told] for c, told in zip(compared.cells, figures, strict=True)]
        widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
        if sum(widths) + len(_GAP) * (len(widths) - 1) + 2 * bool(apart) <= WIDTH:
            break
    return "\n".join(_set(compared, apart, names, rows, widths, style))


def _set(
    compared: Comparison,
    apart: int,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    style: Style,
) -> Iterator[str]:
    left = [*(place < len(compared.named_by) - apart for place in range(len(names) - 1)), True]
    indent = "  " if apart else ""

    def line(cells: Sequence[str]) -> str:
        set_ = (
            f"{cell:<{width}}" if to_left else f"{cell:>{width}}"
            for cell, width, to_left in zip(cells, widths, left, strict=True)
        )
        return indent + _GAP.join(set_).rstrip()

    yield line(names)
    before: Sequence[str] | None = None
    for cell, row in zip(compared.cells, rows, strict=True):
        group = cell.levels[:apart]
        if apart and group != before:
            told = zip(compared.named_by, group, strict=False)
            yield _wrapped(", ".join(f"{name} {level or 'blank'}" for name, level in told))
        before = group
        text = line(row)
        yield text.removesuffix(row[-1]) + style(cell.finding, row[-1])


def _wrapped(sentence: str) -> str:
    return textwrap.fill(
        sentence, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    return text.replace("|", r"\|").replace("<", "&lt;")


def _shortened(text: str) -> str:
    return text if len(text) <= 2000 else text[:2000] + " …"
