"""Committed results against each other: what became better or worse, and what else differs between them."""

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
