"""What a failed attempt says of the instance it went to."""

from __future__ import annotations

from enum import StrEnum

from services.wire.errors import FailureKind, NotSent, WireError

__all__ = ["Blame", "blame"]


class Blame(StrEnum):
    """What a failure says of the instance."""

    NONE = "none"
    """Nothing: this side gave up, or a kept-alive connection had just been closed."""
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    """Nobody is there."""


def blame(error: WireError) -> Blame:
    """What a failed attempt says of the instance it went to."""
    if error.kind is FailureKind.ABORTED or isinstance(error, NotSent):
        return Blame.NONE
    return Blame.UNREACHABLE if error.kind in _NOBODY_THERE else Blame.FAILED


_NOBODY_THERE = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE, FailureKind.UNRESOLVED})
