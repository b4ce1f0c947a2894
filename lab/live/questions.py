"""Questions that sliders ask: what a pipeline, or a balancing policy, would do at other settings.

A question knows its sliders, what was measured, what exact theory says of their settings, and what the
simulator finds. It knows no widget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from lab.arrivals import Closed, Poisson
from lab.errors import BadParameter
from lab.live.live_chart import Data, Spot, rounded
from lab.measure.factors import topology_of
from lab.names import LoadModel, TopologyName
from lab.policy_comparison import PolicyComparison, PolicyResult, Scenario, Setting
from lab.theory.model import Stage, stages_of
from lab.theory.prediction import predict_closed, predict_poisson, why_not_exact
from lab.theory.queues import mm1_mean_response_time, mmc_mean_response_time, round_robin_mean_response_time
from lab.theory.simulator import Simulated, simulate
from lab.topology import Topology
from services.names import Distribution, PolicyName, WorkKind

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Exact", "PipelineQuestion", "PolicyQuestion", "Question", "Refined"]

Values = Mapping[str, Any]
"""The setting of each slider by its name."""
INSTANCES = (1, 2, 3, 4, 6, 8, 12, 16)
WORK_MS = (1, 2, 5, 10, 20, 40, 60, 80, 120, 160, 200)
IN_FLIGHT = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
IN_FLIGHT_TICKS = (1, 2, 4, 8, 16, 32, 64, 128)
UTILIZATIONS = tuple(round(0.05 * step, 2) for step in range(1, 20))
THEORY, SIMULATED = 2, 3
"""The places of both among the series; before them stand the measured ones."""


@dataclass(frozen=True, slots=True)
class Slider:
    """One slider, or a choice where the levels are words."""

    name: str
    label: str
    levels: tuple[Any, ...]
    value: Any
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Exact:
    """What theory says: a curve for each chart, empty with the reason outside its regime; and a sentence."""

    curves: tuple[list[list[float | None]], ...]
    why: str
    told: str


@dataclass(frozen=True, slots=True)
class Refined:
    """What the simulator found: a point for each chart, and a sentence."""

    points: tuple[Data, ...]
    told: str


class Question(Protocol):
    """What sliders can be set to, and what comes of it."""

    @property
    def controls(self) -> tuple[Slider, ...]:
        """The sliders."""

    @property
    def charts(self) -> tuple[Data, ...]:
        """What is drawn before anything is asked: axes, series, and the measured points."""

    def exact(self, values: Values) -> Exact:
        """Compute what theory says, in a fraction of a second."""

    def refined(self, values: Values, requests: int) -> Refined:
        """Simulate so many requests. Raises BadParameter for what cannot be simulated."""


def _with(level: float, levels: Sequence[float]) -> tuple[float, ...]:
    return tuple(sorted({*levels, level}))


def _interval(simulated: Simulated) -> tuple[float, float, float]:
    """Return mean response_time and the ends of its 95 % interval, in seconds."""
    margin = simulated.margin_s()
    return simulated.mean_s, max(simulated.mean_s - margin, 0.0), simulated.mean_s + margin


class PipelineQuestion:
    """What would the pipeline do with other instances, work, load or policy? Of the rows of a sweep."""

    def __init__(self, rows: pd.DataFrame) -> None:
        from lab.charts.series import panels_of

        panel = panels_of(rows)[0]
        series = panel.named(TopologyName.PARALLEL) or panel.series[-1]
        self._factors = dict(series.factors)
        self._open = panel.axis == "requested_rate"
        self._times_ms = [float(part) for part in str(self._factors["work_ms"] or "0").split(",")]
        work_ms = max(self._times_ms) or 1.0
        self._busiest_ms = work_ms
        loads = series.places if self._open else IN_FLIGHT
        load = series.places[-1] if self._open else int(series.places[-1])
        label = ("rate", "req/s") if self._open else ("concurrency", "in flight")
        policies = tuple(str(policy) for policy in PolicyName)
        policy = str(self._factors["policy"] or PolicyName.ROUND_ROBIN)
        self.controls = (
            Slider("load", label[0], self._loads(loads, load), load, label[1]),
            Slider("instances", "instances", INSTANCES, int(self._factors["replicas"] or 1)),
            Slider("work_ms", "work", _with(work_ms, WORK_MS), work_ms, "ms"),
            Slider("policy", "policy", policies, policy),
        )
        names = [each.name for each in panel.series][:THEORY]
        points = [
            [
                {
                    "at": [Spot(0, number, point.x).data],
                    "y": rounded(point.interval.estimate),
                    "low": rounded(point.interval.low),
                    "high": rounded(point.interval.high),
                    "bad": [],
                }
                for number, each in enumerate(panel.series[:THEORY])
                for point in each.points(column)
                if math.isfinite(point.interval.estimate)
            ]
            for column in ("throughput_rps", "response_time_mean_ms")
        ]
        axis = "requested_rate (req/s)" if self._open else "concurrency (requests in flight)"
        self.charts = tuple(
            _chart(title, axis, "linear" if self._open else "log", label, names, measured)
            for title, label, measured in (
                ("Throughput", "throughput (req/s)", points[0]),
                ("Mean response_time", "response_time (ms)", points[1]),
            )
        )

    def _loads(self, loads: Sequence[float], load: float) -> tuple[float, ...]:
        if not self._open:
            return tuple(int(level) for level in _with(load, loads))
        most = 2 * max(loads)
        return _with(load, [float(f"{most * share / 20:.3g}") for share in range(1, 21)])

    def _topology(self, values: Values) -> Topology:
        times = [each * values["work_ms"] / self._busiest_ms for each in self._times_ms]
        return topology_of(
            {
                **self._factors,
                "topology": TopologyName.PARALLEL,
                "replicas": values["instances"],
                "policy": values["policy"],
                "work_ms": ",".join(f"{each:g}" for each in times),
            }
        )

    def _load(self, level: float) -> Closed | Poisson:
        think_time_s = float(self._factors["think_time_ms"] or 0) / 1000
        return Poisson(level) if self._open else Closed(int(level), think_time_s)

    def exact(self, values: Values) -> Exact:
        """Predict along the axis: bounds that constant work attains, product form for exponential work."""
        topology = self._topology(values)
        why = why_not_exact(topology, self._load(values["load"]))
        if self._open and self._factors["load_model"] != LoadModel.POISSON:
            why = "the formulas here are for Poisson arrivals"
        if why:
            return Exact(((), ()), why, "")  # type: ignore[arg-type]
        told, curves = "", ([], [])  # type: tuple[str, tuple[list[Any], list[Any]]]
        for level in self.controls[0].levels:
            load = self._load(level)
            found = (
                predict_poisson(topology, load.rate)
                if isinstance(load, Poisson)
                else predict_closed(topology, load.concurrency, load.think_time_s)
            )
            ms = None if found.response_time_s is None else 1000 * found.response_time_s
            curves[0].append([level, rounded(found.throughput_rps or math.nan)])
            if ms is not None:
                curves[1].append([level, rounded(ms)])
            if level == values["load"]:
                beyond = "no mean response_time: the queue grows for ever" if ms is None else f"{ms:.4g} ms"
                told = f"{found.throughput_rps or math.nan:.4g} req/s, {beyond}"
        return Exact(curves, "", told)

    def refined(self, values: Values, requests: int) -> Refined:
        """Simulate the pipeline at the chosen load."""
        if self._factors["work"] == WorkKind.CPU:
            raise BadParameter("work that computes shares the cores, which the simulator does not know")
        load = self._load(values["load"])
        found = simulate(
            stages_of(self._topology(values)), load, requests=requests, warmup=requests // 5, seed=1
        )
        mean, low, high = _interval(found)
        if isinstance(load, Closed):  # by Little's law
            rates = [
                load.concurrency / (load.think_time_s + each) if each else math.inf
                for each in (mean, high, low)
            ]
        else:
            rates = [load.rate] * 3
        ends = (rates, [1000 * mean, 1000 * low, 1000 * high])
        points = tuple(_simulated(values["load"], *each) for each in ends)
        told = " and ".join(
            f"{each[0]:.4g} {unit} ({each[1]:.4g} to {each[2]:.4g})"
            for each, unit in zip(ends, ("req/s", "ms"), strict=True)
        )
        return Refined(points, told)


ALIKE = "all alike, exponential service times"


class PolicyQuestion:
    """What would a policy do with other instances, work or load? Of the results of a comparison."""

    def __init__(self, plan: PolicyComparison, results: Sequence[PolicyResult]) -> None:
        self._settings: dict[str, Setting] = {str(setting.scenario): setting for setting in plan.settings}
        first = plan.settings[0]
        policies = tuple(str(policy) for policy in plan.policies)
        self.controls = (
            Slider("load", "utilization", _with(first.utilization, UTILIZATIONS), first.utilization),
            Slider("instances", "instances", (2, 4, 8, 16, 32, 64), first.stage(PolicyName.RANDOM).instances),
            Slider("work_ms", "work", _with(first.work_ms, WORK_MS), first.work_ms, "ms"),
            Slider("policy", "policy", policies, policies[0]),
            Slider("scenario", "scenario", (ALIKE, *self._settings), ALIKE),
        )
        measured = [
            {
                "at": [Spot(0, 0, self._settings[str(each.scenario)].utilization).data],
                "y": rounded(each.measured.estimate),
                "low": rounded(each.measured.low),
                "high": rounded(each.measured.high),
                "bad": [],
                "only": {"scenario": str(each.scenario), "policy": str(each.policy)},
            }
            for each in results
            if each.counts
        ]
        label = "arrivals as a share of what all instances could do"
        self.charts = (
            _chart("Mean response_time", label, "linear", "response_time (ms)", ["measured"], measured),
        )

    def _stage(self, values: Values) -> Stage:
        policy, count = PolicyName(values["policy"]), int(values["instances"])
        if values["scenario"] == ALIKE:
            stage = Stage(count, 1.0, Distribution.EXPONENTIAL, policy)
        else:
            stage = self._settings[values["scenario"]].stage(policy)
            weights = (stage.weights[0], *[stage.weights[-1]] * (count - 1)) if stage.weights else ()
            stage = replace(stage, instances=count, weights=weights)
        return replace(stage, service_time_s=values["work_ms"] / 1000)

    def exact(self, values: Values) -> Exact:
        """Compute M/M/1 of each instance, M/M/c of one queue, or E(n)/M/1 of taking turns."""
        stage = self._stage(values)
        formula = _EXACT.get(stage.policy)
        if values["scenario"] != ALIKE:
            why = f"no formula is known for {_short(values['scenario'])}: see the simulator"
        elif formula is None:
            why = f"no exact formula is known for {stage.policy}: see the simulator"
        else:
            seconds = stage.service_time_s

            def at(utilization: float) -> float:
                return 1000 * formula(utilization * stage.capacity_rps, seconds, stage.instances)

            along = [[level, rounded(at(level))] for level in self.controls[0].levels]
            return Exact((along,), "", f"{at(values['load']):.4g} ms")
        return Exact(([],), why, "")

    def refined(self, values: Values, requests: int) -> Refined:
        """Simulate the one service at the chosen utilization."""
        stage = self._stage(values)
        traffic = Poisson(values["load"] * stage.capacity_rps)
        mean, low, high = _interval(simulate(stage, traffic, requests=requests, warmup=requests // 5, seed=1))
        ms = 1000 * mean, 1000 * low, 1000 * high
        return Refined((_simulated(values["load"], *ms),), f"{ms[0]:.4g} ms ({ms[1]:.4g} to {ms[2]:.4g})")


def _random(rate: float, seconds: float, count: int) -> float:
    return mm1_mean_response_time(rate / count, seconds)


def _in_turn(rate: float, seconds: float, count: int) -> float:
    return round_robin_mean_response_time(rate * seconds / count, seconds, count)


_EXACT = {
    PolicyName.RANDOM: _random,
    PolicyName.ROUND_ROBIN: _in_turn,
    PolicyName.WEIGHTED_ROUND_ROBIN: _in_turn,
    PolicyName.CENTRAL_QUEUE: mmc_mean_response_time,
}


def _short(scenario: str) -> str:
    return {
        str(Scenario.ONE_SLOW): "a slow instance",
        str(Scenario.HEAVY_TAILED): "lognormal service times",
    }.get(scenario, scenario)


def _simulated(x: float, y: float, low: float, high: float) -> Data:
    ends = {"low": rounded(low), "high": rounded(high)}
    return {"at": [Spot(0, SIMULATED, float(x)).data], "y": rounded(y), **ends, "bad": []}


def _chart(
    title: str, axis: str, scale: str, label: str, names: Sequence[str], points: Sequence[Data]
) -> Data:
    measured = [
        {"name": name if name == "measured" else f"{name}, measured", "look": n}
        for n, name in enumerate(names)
    ]
    silent = [{"name": "", "look": 1, "silent": True}] * (THEORY - len(names))
    return {
        "title": title,
        "x": {"label": axis, "scale": scale} | ({"ticks": list(IN_FLIGHT_TICKS)} if scale == "log" else {}),
        "y": {"label": label, "scale": "log"},
        "panels": [title],
        "series": [
            *measured,
            *silent,
            {"name": "exact theory", "look": 2, "line": True},
            {"name": "simulated, with its 95 % interval", "look": 3, "apart": True},
        ],
        "points": list(points),
        "sure": True,
        "aside": 0,
    }
