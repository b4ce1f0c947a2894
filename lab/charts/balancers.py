"""Balancers compared: throughput, latency, CPU, and what clients see when an instance dies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from lab.charts.answer import Answer
from lab.charts.chart import Chart, styled
from lab.charts.dot_plot import (
    Quantity,
    figure_text,
    interval_of,
    line_chart,
    require_rows,
    values_of,
)
from lab.charts.instance_death import doubt
from lab.charts.tables import Table, figure_of
from lab.measure.statistics import ratio_interval
from lab.results.counted import believed, trials_told

if TYPE_CHECKING:
    from lab.faults import FaultRun

__all__ = ["balancer_answer", "balancer_table", "balancers"]

NONE = "none (sequential)"
SERVICES = 4
"""How many services, each with a balancer, a request passes."""
Column = Callable[[pd.DataFrame], "pd.Series[float]"]


@styled
def balancers(rows: pd.DataFrame) -> Chart:
    """Draw throughput and CPU at the highest concurrency in `rows`, and latency at the lowest, by balancer.

    `rows` are as `lab.results.read` gives them, of servers in processes: in one process the CPU of balancers
    cannot be told from that of services.
    """
    lines = _by_balancer(rows)
    quantities = [_throughput(rows), _latency(rows), _cpu(rows)]
    drawn = {name: {"all": own} for name, own in lines.items()}
    figure = line_chart(drawn, quantities)
    sentence = _ranking(lines, _cpu(rows)) or "No valid trial says what a balancer costs."
    return Chart(
        figure,
        _winner(lines, _throughput(rows)).replace("**", "").rstrip(".") or sentence.rstrip("."),
        f"Throughput and CPU at {_most(rows)} in flight, latency at {_least(rows)}",
        sentence,
        f"Chart of balancers. {_ranking(lines, _throughput(rows))} {sentence}".strip(),
    )


def balancer_table(rows: pd.DataFrame, runs: Sequence[FaultRun] = ()) -> Table:
    """List each balancer with its measured figures and what clients saw when an instance behind it died."""
    quantities = [_throughput(rows), _latency(rows), _p95(rows), _cpu(rows)]
    deaths = ("memory of all balancers (MB)", "failed when an instance died", "slowest then (ms)")
    header = ("balancer", "valid trials", *(q.label.replace("\n", " ") for q in quantities), *deaths)
    run_of = {run.balancer: run for run in runs}
    return Table(
        header,
        tuple(
            (
                name,
                believed(own),
                *(figure_of(interval_of(own, quantity)) for quantity in quantities),
                *_death_cells(run_of.get(name)),
            )
            for name, own in _by_balancer(rows).items()
        ),
    )


def balancer_answer(rows: pd.DataFrame, runs: Sequence[FaultRun] = ()) -> Answer:
    """Say which balancer has the highest throughput, what each costs, and which hide an instance's death."""
    lines = _by_balancer(rows)
    said = [_winner(lines, _throughput(rows))]
    said += [_ranking(lines, _throughput(rows)), _ranking(lines, _cpu(rows)), _deaths(runs)]
    said.append(trials_told(rows))
    return Answer("\n\n".join(filter(None, said)))


def _most(rows: pd.DataFrame) -> Any:
    return rows["concurrency"].max()


def _least(rows: pd.DataFrame) -> Any:
    return rows["concurrency"].min()


def _throughput(rows: pd.DataFrame) -> Quantity:
    return _with(_most(rows), "throughput (req/s)", lambda r: r["throughput_rps"])


def _latency(rows: pd.DataFrame) -> Quantity:
    return _with(_least(rows), "mean response_time (ms)", lambda r: r["response_time_mean_ms"])


def _p95(rows: pd.DataFrame) -> Quantity:
    return _with(_most(rows), "p95 (ms)", lambda r: r["response_time_p95_ms"])


def _cpu(rows: pd.DataFrame) -> Quantity:
    def of(each: pd.DataFrame) -> pd.Series[float]:
        return 1e6 * each["balancers_cpu_cores"] / each["throughput_rps"] / SERVICES

    return _with(_most(rows), "CPU of one balancer a request (µs)", of)


def _with(concurrency: int, label: str, of: Column) -> Quantity:
    """Restrict a quantity to the rows at that concurrency."""
    return Quantity(
        f"{label},\n{concurrency} in flight", lambda rows: of(rows[rows["concurrency"] == concurrency])
    )


def _by_balancer(rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Group rows by balancer: none first, then the built-in one, then the others by name."""
    require_rows(rows, "balancer", "concurrency")
    names = rows["balancer"].astype("string").fillna(NONE)
    found = sorted(names.unique(), key=lambda name: (name != NONE, name != "builtin", name))
    return {name: rows[names == name] for name in found}


def _ranked(lines: Mapping[str, pd.DataFrame], quantity: Quantity, *, most: bool) -> list[tuple[str, float]]:
    """Rank balancers by estimate, the best first; leave out those without a valid trial."""
    found = [(name, interval_of(own, quantity).estimate) for name, own in lines.items() if name != NONE]
    return sorted((f for f in found if not math.isnan(f[1])), key=lambda f: -f[1] if most else f[1])


def _ranking(lines: Mapping[str, pd.DataFrame], quantity: Quantity) -> str:
    """Tell the balancers in order, and those of which nothing counts."""
    ranked = _ranked(lines, quantity, most="throughput" in quantity.label)
    told = ", ".join(f"{name} {figure_text(value)}" for name, value in ranked)
    label = quantity.label.replace("\n", " ")
    known = dict(ranked)
    silent = [f"{name}, {believed(own)}" for name, own in lines.items() if name not in (NONE, *known)]
    left_out = f" Nothing that counts was measured of {'; '.join(silent)} trials valid." if silent else ""
    return f"{label[0].upper()}{label[1:]}: {told or 'of none'}.{left_out}" if told or silent else ""


def _winner(lines: Mapping[str, pd.DataFrame], quantity: Quantity) -> str:
    """Name the best balancer, if the interval of its ratio to the next best shows a difference."""
    ranked = _ranked(lines, quantity, most=True)
    if len(ranked) < 2:
        return "**Nothing is shown**: fewer than two balancers have a valid trial." if len(lines) > 1 else ""
    (best, most), (second, _), *_ = ranked
    of_best, of_second = (values_of(lines[name], quantity) for name in (best, second))
    ratio = ratio_interval(of_best, of_second)
    unsaid = "**No balancer is shown to let most through**"
    if not ratio.known:
        return (
            f"{unsaid}: too few valid trials, {len(of_best)} of {best} and {len(of_second)} of {second}; "
            "it takes two of each."
        )
    if ratio.low > 1:
        return f"**{best} lets most through, {figure_text(most)} req/s.**"
    return f"{unsaid}: {best} and {second} are too close for these trials."


def _death_cells(run: FaultRun | None) -> tuple[str, str, str]:
    if run is None:
        return ("–", "–", "–")
    memory = "–" if run.balancers_rss_mb is None else f"{run.balancers_rss_mb:.0f}"
    if doubt(run):
        return (memory, f"invalid ({doubt(run)})", "–")
    slowest = max((incident.slowest_s for incident in run.incidents), default=0.0)
    return (memory, f"{run.failed} of {run.due}", f"{1000 * slowest:,.0f}")


def _deaths(runs: Sequence[FaultRun]) -> str:
    unnoticed = [run.balancer for run in runs if not run.failed and not doubt(run)]
    costly = [f"{run.balancer} ({run.failed} of {run.due})" for run in runs if run.failed and not doubt(run)]
    doubted = [f"{run.balancer} ({doubt(run)})" for run in runs if doubt(run)]
    said = []
    if unnoticed:
        said.append(f"Behind {', '.join(unnoticed)} an instance died and no request failed.")
    if costly:
        said.append(f"Requests failed as it died behind {', '.join(costly)}.")
    if doubted:
        said.append(f"The run behind {', '.join(doubted)} is invalid and says nothing.")
    return " ".join(said)
