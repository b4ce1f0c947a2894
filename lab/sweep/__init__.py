"""Sweeps: every combination of factors, measured trial by trial in interleaved order.

`plan_sweep` reads what a person asks (`levels`: factors as typed, and the grid of their combinations) over a
preset (`presets`), gives each cell its window (`windows`) and refuses whatever is wrong before anything
starts; the result is a `plan.Plan`: cells, each repeated as trials, in a seeded, interleaved order.
`runner.run_sweep` claims a CSV (lab.results), skips the trials that are in it, and runs the others one by
one: `trial.run_trial` starts the topology afresh (lab.placement), drives it (lab.load), asks the servers
what they used, makes one row (lab.measure) and hands that to the CSV before the servers stop. `rate_sweep`
does the same for any HTTP service over rates: `find_limit` searches the highest rate that keeps a goal
(lab.saturation), `run_rates` measures on the way there.
"""

from __future__ import annotations

from lab.results.folder import baseline, newest, result_path
from lab.sweep.plan import Plan, plan_sweep
from lab.sweep.presets import PresetName
from lab.sweep.rate_sweep import Target, find_limit, open_target, plan_capacity, run_rates, shares_of
from lab.sweep.runner import run_sweep

__all__ = [
    "Plan",
    "PresetName",
    "Target",
    "baseline",
    "find_limit",
    "newest",
    "open_target",
    "plan_capacity",
    "plan_sweep",
    "result_path",
    "run_rates",
    "run_sweep",
    "shares_of",
]
