"""What the browser draws of a sweep before its first trial: axes, documented bands, limits by theory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from lab.experiment_events import TrialBegun, TrialEnded
from lab.live.live_chart import Cells, Data, Spot, rounded
from lab.measure.factors import Combination
from lab.measure.measurement import Measurement
from lab.sweep.plan import Plan

if TYPE_CHECKING:
    import pandas as pd

    from lab.charts import Chart
    from lab.charts.series import Panel, Series

__all__ = ["SweepChart"]

CURVE_POINTS = 40
"""Points of a limit's curve: straight lines between them look round."""


class SweepChart:
    """Throughput under load, cell by cell."""

    def __init__(self, plan: Plan, rows: Sequence[Measurement]) -> None:
        self._plan = plan
        self._cells = Cells("throughput_rps")
        self._spots: dict[str, list[Spot]] = defaultdict(list)
        self._series = _told_apart_by(plan)
        self.outline = self._outlined()
        for row in rows:
            self._cells.take(row)
        self.outline["points"] = [self._cells.point(cell, self._spots[cell]) for cell in self._begun()]

    def spots(self, begun: TrialBegun) -> list[list[float]]:
        return [spot.data for spot in self._spots[begun.cell_id]]

    def points(self, ended: TrialEnded) -> list[Data]:
        self._cells.take(ended.row)
        cell_id = ended.row.what.cell_id
        return [self._cells.point(cell_id, self._spots[cell_id])]

    def picture(self) -> Chart | None:
        from lab.charts import throughput
        from lab.results import read

        rows = read(self._plan.path)
        return throughput(rows, self._series) if len(rows) else None

    def _begun(self) -> list[str]:
        return list(dict.fromkeys([*self._cells.valid, *self._cells.invalid]))

    def _outlined(self) -> Data:
        from lab.charts.axes import AXES
        from lab.charts.series import panels_of

        panels = panels_of(_frame(self._plan), self._series)
        ticks = sorted({x for panel in panels for series in panel.series for x in series.places})
        if len(ticks) == 1:
            return self._beside_each_other(panels)
        names = list(dict.fromkeys(series.name for panel in panels for series in panel.series))
        bands: list[Data] = []
        limits: list[Data] = []
        for place, panel in enumerate(panels):
            for series in panel.series:
                number = names.index(series.name)
                for cell_id, x in zip(series.rows["cell_id"], series.rows[series.axis], strict=True):
                    self._spots[cell_id].append(Spot(place, number, float(x)))
                at = {"panel": place, "series": number}
                bands += [{**at, **band} for band in _bands(series)]
                limits += [{**at, **limit} for limit in _limits(series)]
        return {
            "title": "Throughput under load",
            "x": {"label": _x_label(panels, AXES), "scale": "log", "ticks": ticks},
            "y": {"label": "throughput (req/s)", "scale": "log"},
            "panels": [panel.label for panel in panels],
            "series": [{"name": name, "look": look} for name, look in _looks(names).items()],
            "bands": bands,
            "limits": limits,
            "limit": "bound by theory",
        }

    def _beside_each_other(self, panels: Sequence[Panel]) -> Data:
        """Outline cells that no axis tells apart: each has a place with a name."""
        names = list(dict.fromkeys(series.name for panel in panels for series in panel.series))
        for place, panel in enumerate(panels):
            for series in panel.series:
                number = names.index(series.name)
                spot = Spot(0, number, float(place if len(panels) > 1 else number))
                for cell_id in series.rows["cell_id"]:
                    self._spots[cell_id].append(spot)
        labels = [panel.label for panel in panels] if len(panels) > 1 else names
        return {
            "title": "Throughput of each",
            "x": {"label": "", "scale": "names", "ticks": labels},
            "y": {"label": "throughput (req/s)", "scale": "log"},
            "panels": [""],
            "series": [{"name": name, "look": look} for name, look in _looks(names).items()],
            "bands": [],
            "limits": [],
        }


def _told_apart_by(plan: Plan) -> str:
    """Return the factor whose levels are curves: the topology, unless only another one varies."""
    axes = ("concurrency", "requested_rate", "seed", "duration_s", "warmup_s")
    varied = [name for name, levels in plan.grid.levels.items() if len(levels) > 1 and name not in axes]
    return "topology" if "topology" in varied or not varied else varied[0]


def _frame(plan: Plan) -> pd.DataFrame:
    """Return the planned cells as rows whose figures are not there yet."""
    import pandas as pd

    cells = [{**asdict(factors), "cell_id": cell_id} for cell_id, factors in plan.cells().items()]
    return pd.DataFrame(cells).convert_dtypes()


def _x_label(panels: Sequence[Panel], axes: Mapping[str, str]) -> str:
    return " or ".join(dict.fromkeys(axes[panel.axis] for panel in panels))


def _looks(names: list[str]) -> dict[str, int]:
    """Give each series the number of its colour and marker, as on the charts."""
    from lab.charts.style import look, looks

    known = [look(place) for place in range(7)]
    return {name: known.index(its) for name, its in looks(names).items()}


def _bands(series: Series) -> Iterator[Data]:
    """Yield the documented band, where the plan drives the point at which it is judged."""
    from lab.charts.findings import judged_at

    expected = judged_at(series)
    if expected:
        band = expected.throughput_rps
        where = {"at": expected.concurrency, "low": band.low, "high": band.high, "more": band.and_more}
        yield {**where, "name": f"documented, {series.name}: {band}, judged at {expected.concurrency}"}


def _limits(series: Series) -> Iterator[Data]:
    """Yield the bound by theory as a curve."""
    from lab.charts.marks import throughput_limit

    factors: Combination = series.factors
    limit = throughput_limit(factors, series.axis)
    if limit:
        first, last = series.places[0], series.places[-1]
        step = (last / first) ** (1 / CURVE_POINTS)
        along = [first * step**i for i in range(CURVE_POINTS + 1)] if last > first else [first]
        yield {"curve": [[rounded(x), rounded(limit(x))] for x in along]}
