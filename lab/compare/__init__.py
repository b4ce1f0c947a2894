"""Compare committed results: what became better or worse, and what else differs between them.

`compare_files` reads two CSVs, A and B, and their sidecars; `compare` takes their rows as frames.

1. Pairing (cells.py) says which cells of A and B are the same cell. A factor that has one level throughout A
   and another throughout B is what was changed; in all others two cells must agree.
2. comparison.py tests each cell's valid trials, corrects for the number of cells, and gives each a Change.
3. `differences` says what the sidecars tell apart: commit, machine, software, parameters.
4. A Comparison holds the cells, and says the outcome in sentences.
"""

from lab.compare.comparison import (
    CellComparison,
    Change,
    Comparison,
    Metric,
    compare,
    compare_files,
    differences,
)

__all__ = [
    "CellComparison",
    "Change",
    "Comparison",
    "Metric",
    "compare",
    "compare_files",
    "differences",
]
