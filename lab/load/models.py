"""What a load is chosen by, by name."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["LoadModel", "WarmupMode"]


class LoadModel(StrEnum):
    """How requests come about."""

    CLOSED = "closed"
    """Each of so many users sends its next request when the last was answered."""
    CONSTANT = "constant"
    POISSON = "poisson"
    RAMP = "ramp"
    STEPS = "steps"


class WarmupMode(StrEnum):
    """Where the window begins."""

    FIXED = "fixed"
    """After `warmup_s`, and in the closed loop not before every user has had an answer."""
    AUTO = "auto"
    """Where MSER-5 says that the run has settled, at the latest after `warmup_s`."""
