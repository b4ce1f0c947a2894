"""Rows made up for charts: what a sweep of the pipeline would write, without running one."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from lab.measure.factors import HOW_IT_WAS_MEASURED, factor_columns
from lab.measure.measurement import Measurement
from lab.results import read

BASE: dict[str, Any] = {
    "sweep_id": "made-up",
    "started_at": "2026-01-01T00:00:00+00:00",
    "policy": "round_robin",
    "balancer": "builtin",
    "protocol": "http",
    "placement": "in-process",
    "client": "httpx",
    "work": "io",
    "work_ms": "40",
    "work_distribution": "constant",
    "slots": 1,
    "corpus": "pydoc_data.topics",
    "payload_bytes": 1024,
    "load_model": "closed",
    "think_time_ms": 0,
    "seed": 1,
    "duration_s": 4,
    "requests": 100,
    "succeeded": 100,
    "failed": 0,
    "dropped": 0,
    "valid": "true",
}


def row(topology: str, concurrency: int, trial: int, noise: float, **factors: Any) -> dict[str, Any]:
    """What theory says, a little slower, and scattered by the noise."""
    exponential = factors.get("work_distribution") == "exponential"
    servers = 4 if topology == "parallel" else 1
    capacity = servers / 0.040
    rate = min(concurrency / 0.168, capacity * 0.99)
    if exponential:
        rate = concurrency / (0.168 + (concurrency - 1) / capacity)
    rate *= noise
    mean = 1000 * concurrency / rate
    waiting = max(0.0, mean - 172)
    made = {
        "trial": trial,
        "topology": topology,
        "replicas": servers,
        "concurrency": concurrency,
        "throughput_rps": rate,
        "response_time_mean_ms": mean,
        "overhead_ms": min(12, mean),
    }
    for number, share in enumerate((0.7, 0.2, 0.1, 0.0), start=1):
        made[f"service{number}_queue_ms"] = waiting * share
        made[f"service{number}_work_ms"] = 40.4
    if topology == "sequential":
        made |= {"policy": "", "balancer": ""}
    return BASE | made | factors


def frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The rows through a CSV and back, so that they have the types that a result has."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "made-up.csv"
        telling = [c.name for c in factor_columns() if c.name not in HOW_IT_WAS_MEASURED]
        rows = [row | {"cell_id": "-".join(str(row.get(name, "")) for name in telling)} for row in rows]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [column.name for column in Measurement.columns()])
            writer.writeheader()
            writer.writerows(rows)
        return read(path)


def default_rows(
    concurrencies: Iterable[int] = (1, 3, 8, 32), trials: int = 3, spread: float = 0.01, **factors: Any
) -> list[dict[str, Any]]:
    """Rows of both topologies, scattered by the same noise every time."""
    noise = random.Random(1)
    return [
        row(topology, concurrency, trial, 1 + noise.gauss(0, spread), **factors)
        for topology in ("sequential", "parallel")
        for concurrency in concurrencies
        for trial in range(1, trials + 1)
    ]


def made_up_rows(change: Callable[[list[dict[str, Any]]], None] | None = None, **how: Any) -> pd.DataFrame:
    """Make rows as `default_rows` does, after `change` has edited the list of dictionaries."""
    made = default_rows(**how)
    if change:
        change(made)
    return frame(made)


def repeat_by_level(made: list[dict[str, Any]], factor: str, rates: dict[str, float], **other: Any) -> None:
    """Repeat every row for each level of a factor, at the level's multiple of the throughput."""
    rows = [row | other for row in made]
    made[:] = [
        row
        | {
            factor: level,
            "throughput_rps": row["throughput_rps"] * rate,
            "servers_cpu_cores": 1.0,
            "balancers_cpu_cores": 0.2,
        }
        for row in rows
        for level, rate in rates.items()
    ]
