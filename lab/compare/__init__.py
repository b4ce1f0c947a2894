"""Committed results against each other: what became better or worse, and what else differs between them."""

from lab.compare.comparison import (
    CellComparison,
    Comparison,
    Finding,
    Metric,
    compare,
    compare_files,
    differences,
)

__all__ = [
    "CellComparison",
    "Comparison",
    "Finding",
    "Metric",
    "compare",
    "compare_files",
    "differences",
]
