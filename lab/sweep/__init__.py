"""Sweeps: every combination of factors, measured trial by trial in interleaved order."""

from __future__ import annotations

from lab.results.folder import baseline, newest, result_path
from lab.sweep.plan import Plan, parameters_in, plan_sweep
from lab.sweep.presets import PresetName
from lab.sweep.rate_sweep import Target, find_limit, open_target, run_rates, shares_of
from lab.sweep.runner import run_sweep

__all__ = [
    "Plan",
    "PresetName",
    "Target",
    "baseline",
    "find_limit",
    "newest",
    "open_target",
    "parameters_in",
    "plan_sweep",
    "result_path",
    "run_rates",
    "run_sweep",
    "shares_of",
]
