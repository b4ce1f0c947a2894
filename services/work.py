"""What a request costs a service: slots, service time and its distribution."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Distribution", "Work", "WorkKind"]


class WorkKind(StrEnum):
    """How a service spends a request's service time."""

    IO = "io"
    """It waits, as for a disk or another machine."""
    CPU = "cpu"
    """It burns that much of a worker thread's own CPU time."""
    TEXT = "text"
    """It does the text processing alone, with no service time added."""


class Distribution(StrEnum):
    """How service times are spread around their mean."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Work:
    """What one request costs one instance. The defaults are the profile `documented`."""

    kind: WorkKind = WorkKind.IO
    mean_ms: float = 40.0
    distribution: Distribution = Distribution.CONSTANT
    slots: int = 1
    queue_limit: int = 128
    seed: int = 0
