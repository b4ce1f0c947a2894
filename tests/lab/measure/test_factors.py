"""A combination of factors, or a row, stands for one topology and one load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lab.arrivals import Closed, Constant, Poisson
from lab.errors import BadParameter
from lab.measure import columns
from lab.measure.columns import Factors
from lab.measure.factors import cell_id, factor_columns, load_of, topology_of
from services.names import Distribution, WorkKind

FACTORS: dict[str, Any] = {
    "topology": "parallel",
    "replicas": 3,
    "policy": "round_robin",
    "client": "wire",
    "work": "cpu",
    "work_ms": "40",
    "work_distribution": "exponential",
    "slots": 2,
    "load_model": "closed",
    "concurrency": 8,
    "think_time_ms": 100.0,
    "requested_rate": None,
}


def test_a_topology_has_what_the_factors_say() -> None:
    topology = topology_of(FACTORS, seed=7)
    assert (topology.name, topology.replicas) == ("parallel", 3)
    for service in topology.services:
        assert service.client == "wire"
        assert service.balancer is not None
        assert service.balancer.seed == 7
        assert service.work.kind is WorkKind.CPU
        assert service.work.distribution is Distribution.EXPONENTIAL
        assert (service.work.mean_ms, service.work.slots, service.work.seed) == (40, 2, 7)


def test_each_service_can_have_its_own_service_time() -> None:
    topology = topology_of(FACTORS | {"work_ms": "0,5,40,2.5"})
    assert [service.work.mean_ms for service in topology.services] == [0, 5, 40, 2.5]


def test_blank_factors_are_those_that_say_nothing() -> None:
    blanks = {"topology": "sequential", "replicas": 1, "policy": None, "work": "text", "work_ms": None}
    topology = topology_of(FACTORS | blanks | {"work_distribution": None})
    assert topology.replicas == 1
    assert {service.work.mean_s for service in topology.services} == {0.0}


def test_the_load_is_closed_or_open_as_the_model_says() -> None:
    assert load_of(FACTORS) == Closed(8, 0.1)
    assert load_of(FACTORS | {"load_model": "constant", "requested_rate": 5.0}) == Constant(5.0)
    assert load_of(FACTORS | {"load_model": "poisson", "requested_rate": 5.0}) == Poisson(5.0)


@pytest.mark.parametrize(
    "missing", [{"concurrency": None}, {"load_model": "poisson"}, {"load_model": "ramp"}]
)
def test_a_load_without_its_amount_is_refused(missing: dict[str, Any]) -> None:
    with pytest.raises(BadParameter, match="load_model"):
        load_of(FACTORS | missing)


def test_a_new_factor_changes_a_cells_id_only_where_it_is_not_blank(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Factors(topology="parallel", load_model="closed", concurrency=8, duration_s=4.0)
    blank_in_version_1 = cell_id(cell)
    newer = [replace(c, since=2) if c.name == "policy" else c for c in factor_columns()]
    monkeypatch.setattr("lab.measure.factors.factor_columns", lambda: newer)
    assert cell_id(replace(cell, policy="random")) != cell_id(cell) != blank_in_version_1
    assert cell_id(cell) == cell_id(replace(cell, policy=None))


def test_a_column_of_a_later_version_is_optional_and_its_version_in_the_history() -> None:
    with pytest.raises(ValueError, match="SCHEMA_HISTORY"):
        columns._column("New.", since=max(columns.SCHEMA_HISTORY) + 1)
