"""Measure what the live panel of a notebook costs, and how soon its points and answers come."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.goals import GoalFigure, at_least, at_most, reference
from lab.measure.statistics import log_interval

__all__ = ["live_panel", "what_if_moves"]

PAIRS = 10
COST_LIMIT = 0.02
TELLS_A_SECOND = 4
PATIENCE_S = 120
_COST = """
import json, time
from lab.experiment_events import ExperimentBegun, ExperimentEnded, TrialBegun, TrialProgress
from lab.live.panel import notebook_view
from lab.load.result import Progress
from lab.sweep import plan_sweep

view, begun = notebook_view(), TrialBegun("parallel at 8", 1, 1, 4.0, 4.0)
view(ExperimentBegun(plan_sweep(), 1, 4.0))
view(begun)
before = time.process_time()
for n in range(400):
    view(TrialProgress(begun, Progress(n / 4, 100.0, 25 * n, 0, 8, 81.5, 93.2)))
time.sleep(1.0)
print(json.dumps((time.process_time() - before) / 400))
view(ExperimentEnded(0, 1, True))
"""
_PLAN = """
from lab.results import read
from lab.sweep import plan_sweep, run_sweep
same = dict(topology="sequential", work="text", concurrency=8, trials=1, duration_s=4, redo_invalid=False)
"""
_TRIAL = "rows = read(run_sweep(plan_sweep(folder={folder!r}, port_offset=9200, **same)))"
_RATE = "print(rows['throughput_rps'].fillna(0).iloc[0])"


def live_panel() -> Iterator[GoalFigure]:
    """Measure the panel's cost in the kernel, and throughput with it over throughput without, in turns."""
    with _kernel() as run, tempfile.TemporaryDirectory() as folder:
        each_s = json.loads(_printed(run(_COST)).splitlines()[-1])
        yield at_most("cores that the panel takes from kernel", TELLS_A_SECOND * each_s, COST_LIMIT, "cores")
        list(run(_PLAN))
        ratios, late = [], []
        for pair in range(PAIRS):
            rates = {}
            for person in (True, False) if pair % 2 else (False, True):
                heard = list(run(_TRIAL.format(folder=folder), person=person))
                rates[person] = float(_printed(run(_RATE)))
                late += _lateness_s(heard)
            if all(rates.values()):
                ratios.append(rates[True] / rates[False])
        found = log_interval(ratios)
        yield reference("pairs of valid trials", len(ratios))
        yield reference("throughput with the panel over that without", found.estimate)
        yield at_least("lower end of its 95 % interval", found.low, 0.98)
        yield at_most("upper end of its 95 % interval", found.high, 1.02)
        yield at_most(
            "a trial's last number to its point, at most", max(late, default=float("nan")), 1.0, "s"
        )


def what_if_moves() -> Iterator[GoalFigure]:
    """Measure how long exact theory takes for each move of a slider, at every level of each."""
    from lab.live.questions import PipelineQuestion
    from lab.results import baseline, read

    question = PipelineQuestion(read(baseline()))
    values = {slider.name: slider.value for slider in question.controls}
    worst = 0.0
    for slider in question.controls:
        for level in slider.levels:
            begun = time.perf_counter()
            question.exact(values | {slider.name: level})
            worst = max(worst, time.perf_counter() - begun)
    yield at_most("exact theory for a move, at most", 1000 * worst, 300, "ms")


@contextmanager
def _kernel() -> Iterator[Any]:
    """Keep a kernel up; yield what runs a cell there and yields what it sends."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(extra_arguments=["--log-level=CRITICAL"])

    def run(code: str, *, person: bool = True) -> Iterator[dict[str, Any]]:
        cell = client.execute(code, allow_stdin=person)
        while True:
            message = client.get_iopub_msg(timeout=PATIENCE_S)
            if message["parent_header"].get("msg_id") != cell:
                continue
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(message["content"]["traceback"]))
            if message["content"].get("execution_state") == "idle":
                return
            yield message | {"heard_s": time.monotonic()}

    try:
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _printed(messages: Iterator[dict[str, Any]]) -> str:
    return "".join(each["content"]["text"] for each in messages if each["msg_type"] == "stream")


def _lateness_s(heard: list[dict[str, Any]]) -> list[float]:
    """Return how long after the last number of a trial its point came."""
    told = [(each["heard_s"], each["content"]["data"]) for each in heard if each["msg_type"] == "comm_msg"]
    numbers = [at for at, data in told if data["method"] == "custom"]
    points = [at for at, data in told if "point" in data.get("state", {})]
    return [point - max(at for at in numbers if at <= point) for point in points if numbers]
