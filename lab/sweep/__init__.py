"""Sweeps: every combination of factors, measured trial by trial in interleaved order."""

from __future__ import annotations

from lab.sweep.folder import baseline, newest, result_path
from lab.sweep.plan import Plan, plan_sweep
from lab.sweep.presets import PresetName
from lab.sweep.runner import run_sweep

__all__ = ["Plan", "PresetName", "baseline", "newest", "plan_sweep", "result_path", "run_sweep"]
