"""What the browser draws of each kind of experiment, before and while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.experiment_events import ExperimentBegun, TrialBegun, TrialEnded
from lab.faults import FaultPlan, FaultRun
from lab.live.live_chart import Cells, Data, LiveChart, Spot, rounded
from lab.live.sweep_outline import SweepChart
from lab.measure.measurement import Measurement
from lab.policy_comparison import PolicyComparison, PolicyResult
from lab.results import frame_of, read
from lab.saturation import SearchSpec
from lab.sweep.plan import Plan
from lab.sweep.rate_sweep import RatePlan

if TYPE_CHECKING:
    from lab.charts import Chart

__all__ = ["live_chart"]


def live_chart(begun: ExperimentBegun) -> LiveChart | None:
    """Return the chart of what begins; None where there is none to draw before its end."""
    match begun.plan:
        case Plan():
            return SweepChart(begun.plan, begun.rows)
        case SearchSpec():
            return _SearchChart(begun.plan)
        case RatePlan():
            return _RateChart(begun.plan)
        case FaultPlan():
            return _FaultChart(begun.plan)
        case PolicyComparison():
            return _PolicyChart(begun.plan)
    return None


def _series(*names: str, **more: bool) -> list[Data]:
    return [{"name": name, "look": look, **more} for look, name in enumerate(names)]


def _from_0_to(most: float) -> Data:
    return {"low": 0, "high": most}


class _SearchChart:
    """The quantity of the goal at each rate that was probed, and the goal as a line."""

    def __init__(self, spec: SearchSpec) -> None:
        times = [condition for condition in spec.goal if condition.quantity.is_time]
        self._spec = spec
        self._goal = times[0] if times else None
        self._probes: list[Measurement] = []
        quantity = f"{self._goal.quantity} of response_time (ms)" if self._goal else "throughput (req/s)"
        lines = [{"y": self._goal.value, "name": f"goal: {self._goal}"}] if self._goal else []
        self.outline: Data = {
            "title": f"Searching the highest rate that keeps {' and '.join(map(str, spec.goal))}",
            "x": {"label": "requested_rate (req/s)", "scale": "log"},
            "y": {"label": quantity, "scale": "log"},
            "panels": [""],
            "series": _series("keeps the goal", "does not keep it", apart=True),
            "lines": lines,
        }

    def spots(self, begun: TrialBegun) -> list[list[float]]:
        return [Spot(0, 0, float(begun.cell_id)).data] if begun.cell_id else []

    def points(self, ended: TrialEnded) -> list[Data]:
        row = ended.row
        self._probes.append(row)
        rate = row.factors.requested_rate
        if rate is None:  # the first probe, which asks for no rate
            return []
        kept = all(condition.holds(row) for condition in self._spec.goal)
        outcome = row.outcome
        value = self._goal.value_in(outcome) if self._goal else outcome.throughput_rps
        told = row.health.valid and value
        at = [Spot(0, 0 if kept else 1, rate).data]
        return [{"at": at, "y": value if told else None, "bad": [] if told else [value or 0.0]}]

    def picture(self) -> Chart | None:
        from lab.charts import latency

        rows = [row for row in self._probes if row.factors.requested_rate is not None]
        return latency(frame_of(rows)) if rows else None


class _RateChart:
    """Percentiles of response_time by rate."""

    COLUMNS = ("response_time_p50_ms", "response_time_p95_ms", "response_time_p99_ms")

    def __init__(self, plan: RatePlan) -> None:
        self._plan = plan
        self._cells = [Cells(column) for column in self.COLUMNS]
        self.outline: Data = {
            "title": "response_time under load",
            "x": {"label": "requested_rate (req/s)", "scale": "log", "ticks": sorted(plan.rates)},
            "y": {"label": "response_time (ms)", "scale": "log"},
            "panels": [""],
            "series": _series("p50", "p95", "p99"),
        }

    def spots(self, begun: TrialBegun) -> list[list[float]]:
        return [Spot(0, 0, float(begun.cell_id.rpartition("-")[2])).data]

    def points(self, ended: TrialEnded) -> list[Data]:
        (_, _, rate), *_ = self.spots(ended.begun)
        points = []
        for number, cells in enumerate(self._cells):
            cells.take(ended.row)
            point = cells.point(ended.row.what.cell_id, [Spot(0, number, rate)])
            points.append(point if number == 0 else {**point, "bad": []})  # one mark for a trial is enough
        return points

    def picture(self) -> Chart | None:
        from lab.charts import percentiles

        rows = read(self._plan.path)
        return percentiles(rows) if len(rows) else None


class _FaultChart:
    """Answers a second over time, drawn by the browser from the numbers that it gets; faults beforehand."""

    def __init__(self, plan: FaultPlan) -> None:
        self._balancers = [str(balancer) for balancer in plan.balancers]
        self._runs: dict[str, FaultRun] = {}
        faults = [{"from": f.at_s, "to": f.end_s, "name": str(f)} for f in plan.faults]
        self.outline: Data = {
            "title": "Answers while servers fail",
            "x": {
                "label": "time since the load began (s)",
                "scale": "linear",
                "low": 0,
                "high": plan.window_s,
            },
            "y": {"label": "requests a second", "scale": "linear", **_from_0_to(1.5 * plan.rate)},
            "panels": [f"behind {balancer}" for balancer in self._balancers],
            "series": _series("answered", "failed"),
            "faults": faults,
            "stream": True,
            "sure": True,
        }

    def spots(self, begun: TrialBegun) -> list[list[float]]:
        return [Spot(self._balancers.index(begun.cell_id), 0, 0.0).data]

    def points(self, ended: TrialEnded) -> list[Data]:
        self._runs[ended.begun.cell_id] = ended.result
        return []

    def picture(self) -> Chart | None:
        from lab.charts import under_faults

        return under_faults(*self._runs.values()) if self._runs else None


class _PolicyChart:
    """The mean response_time of each policy in each scenario, measured and simulated."""

    def __init__(self, plan: PolicyComparison) -> None:
        self._policies = [str(policy) for policy in plan.policies]
        self._scenarios = [str(setting.scenario) for setting in plan.settings]
        self._results: dict[tuple[str, str], PolicyResult] = {}
        self.outline: Data = {
            "title": "Mean response_time by policy",
            "x": {"label": "", "scale": "names", "ticks": self._policies},
            "y": {"label": "mean response_time (ms)", "scale": "log"},
            "panels": self._scenarios,
            "series": [*_series("measured"), {"name": "simulated", "look": 4, "apart": True}],
        }

    def spots(self, begun: TrialBegun) -> list[list[float]]:
        policy, _, scenario = begun.name.partition(", ")
        return [Spot(self._scenarios.index(scenario), 0, float(self._policies.index(policy))).data]

    def points(self, ended: TrialEnded) -> list[Data]:
        result: PolicyResult = ended.result
        self._results[str(result.scenario), str(result.policy)] = result
        panel = self._scenarios.index(str(result.scenario))
        x = float(self._policies.index(str(result.policy)))
        mean = result.measured
        measured: Data = {"at": [Spot(panel, 0, x).data], "y": None, "bad": [rounded(mean.estimate) or 0.0]}
        if result.counts:
            ends = {"low": rounded(mean.low), "high": rounded(mean.high)}
            measured |= {"y": rounded(mean.estimate), **ends, "bad": []}
        simulated = {"at": [Spot(panel, 1, x).data], "y": rounded(result.simulated_ms), "bad": []}
        return [measured, simulated]

    def picture(self) -> Chart | None:
        from lab.charts import policies

        return policies(list(self._results.values())) if self._results else None
