"""Committed results against each other: what became better or worse, and what else differs between them."""

from lab.compare.comparison import (
    CellComparison,
    Comparison,
    compare,
    compare_files,
)
from lab.compare.differences import differences
from lab.compare.finding import Finding, Metric

__all__ = [
    "CellComparison",
    "Comparison",
    "Finding",
    "Metric",
    "compare",
    "compare_files",
    "differences",
]
