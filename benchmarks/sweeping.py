"""Run the sweeps of benchmarks: away from the documented ports, in a temporary folder."""

from __future__ import annotations

import statistics
import tempfile

import pandas as pd

from lab import results
from lab.placement.ports import free_offset
from lab.sweep import plan_sweep, run_sweep
from lab.topology import Topology

__all__ = ["median_ratio", "swept"]


def swept(
    preset: str = "quick", *, trials: int, redo_invalid: bool = False, **factors: object
) -> pd.DataFrame:
    """Run a sweep and return its rows, invalid ones as they are."""
    with tempfile.TemporaryDirectory(prefix="lab-benchmark-") as folder:
        offset = free_offset(Topology.parallel())
        plan = plan_sweep(
            preset, trials=trials, folder=folder, port_offset=offset, redo_invalid=redo_invalid, **factors
        )
        print(f"         {plan}", flush=True)
        return results.read(run_sweep(plan))


def median_ratio(above: pd.DataFrame, below: pd.DataFrame) -> float:
    """Return the median over trials of the ratio of throughputs; nan without any trial on both sides.

    Trials are paired because drift hits both sides of a trial alike. Invalid trials count where their
    throughput is known.
    """
    rates = [rows.set_index("trial")["throughput_rps"].dropna() for rows in (above, below)]
    ratios = [float(rate / rates[1][trial]) for trial, rate in rates[0].items() if trial in rates[1].index]
    return statistics.median(ratios) if ratios else float("nan")
