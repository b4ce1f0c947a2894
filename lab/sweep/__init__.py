"""Sweeps: every combination of factors, measured trial by trial in interleaved order."""

from __future__ import annotations

from lab.sweep.plan import Plan, plan_sweep
from lab.sweep.presets import PresetName
from lab.sweep.runner import run_sweep

__all__ = ["Plan", "PresetName", "plan_sweep", "run_sweep"]
