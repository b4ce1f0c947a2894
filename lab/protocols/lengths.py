"""Lengths of texts, as a person gives them."""

from __future__ import annotations

from collections.abc import Sequence

from lab.sweep.levels import read_levels

__all__ = ["lengths_of"]


def lengths_of(payload_bytes: int | Sequence[int]) -> list[int]:
    """One length or several, in bytes. Raises BadParameter for what is none."""
    return [int(level) for level in read_levels("payload_bytes", payload_bytes)]
