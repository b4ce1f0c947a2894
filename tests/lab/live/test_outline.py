"""The axes, bands and bounds of a live chart are there before its first trial."""

from __future__ import annotations

import json
from typing import Any

from lab.experiment_events import ExperimentBegun, TrialBegun
from lab.live.outline import LiveChart, live_chart
from lab.sweep import plan_sweep


def chart_of(**parameters: Any) -> LiveChart:
    chart = live_chart(ExperimentBegun(plan_sweep(name="drawn", **parameters), 1, 1.0))
    assert chart is not None
    json.dumps(chart.outline)
    return chart


def test_bands_and_bounds_are_drawn_before_anything_is_measured() -> None:
    outline = chart_of().outline
    assert [series["name"] for series in outline["series"]] == ["sequential", "parallel"]
    assert [(band["at"], band["low"], band["high"], band["more"]) for band in outline["bands"]] == [
        (1, 5, 20, False),
        (3, 15, 60, True),
    ]
    ends = [limit["curve"][-1] for limit in outline["limits"]]
    assert ends == [[32, 25], [32, 100]]
    assert outline["points"] == []


def test_every_cell_has_a_place_in_each_panel_that_it_belongs_to() -> None:
    plan = plan_sweep(name="drawn", policy=["round_robin", "random"], concurrency=[1, 8])
    chart = live_chart(ExperimentBegun(plan, 1, 1.0))
    assert chart is not None
    assert chart.outline["panels"] == ["round_robin", "random"]
    of_cell = {
        cell_id: chart.spots(TrialBegun("", 1, 1, 1.0, 1.0, cell_id=cell_id)) for cell_id in plan.cells()
    }
    by_topology = {plan.cells()[cell_id].topology: len(spots) for cell_id, spots in of_cell.items()}
    assert by_topology == {"sequential": 2, "parallel": 1}


def test_a_factor_that_alone_varies_makes_the_curves() -> None:
    outline = chart_of(topology="parallel", policy=["round_robin", "random"]).outline
    assert [series["name"] for series in outline["series"]] == ["random", "round_robin"]
    assert outline["panels"] == [""]


def test_cells_that_no_axis_tells_apart_stand_beside_each_other_by_name() -> None:
    outline = chart_of(topology="parallel", client=["wire", "aiohttp"], concurrency=8).outline
    assert (outline["x"]["scale"], outline["x"]["ticks"]) == ("names", ["aiohttp", "wire"])
