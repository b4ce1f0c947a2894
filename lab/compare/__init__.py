"""Compare committed results: what became better or worse, and what else differs between them.

`compare_files` reads two CSVs, A and B, and their sidecars; `compare` takes their rows as frames.

1. Pairing (cells.py) says which cells of A and B are the same cell. A factor that has one level throughout A
   and another throughout B is what was changed; in all others two cells must agree.
2. decision.py gives each cell's ratio an interval, and by that alone a Change.
3. origins.py says what the sidecars tell apart: commit, machine, software, parameters.
4. A Comparison (comparison.py) holds the cells, and says the outcome in sentences; report.py sets it as a
   table, in plain text or Markdown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.compare.comparison import CellComparison, Comparison, compare, compare_files
    from lab.compare.decision import Change, Metric
    from lab.compare.origins import differences
    from lab.compare.report import Report, plain_text

__all__ = [
    "CellComparison",
    "Change",
    "Comparison",
    "Metric",
    "Report",
    "compare",
    "compare_files",
    "differences",
    "plain_text",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.compare.comparison": ("CellComparison", "Comparison", "compare", "compare_files"),
        "lab.compare.decision": ("Change", "Metric"),
        "lab.compare.origins": ("differences",),
        "lab.compare.report": ("Report", "plain_text"),
    },
)
