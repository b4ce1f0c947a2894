"""Stages: what a topology makes of them, what they refuse, and the service times they draw."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from lab import theory
from lab.errors import BadParameter
from lab.theory.model import Stage, stages_of
from lab.topology import Topology
from services.names import Distribution, PolicyName
from services.work import Work


def test_a_topology_says_what_its_stages_are() -> None:
    work = Work(mean_ms=20, distribution=Distribution.LOGNORMAL, slots=2)
    topology = Topology.parallel(3).with_work(work).with_policy(PolicyName.POWER_OF_TWO)
    expected = Stage(3, 0.02, Distribution.LOGNORMAL, PolicyName.POWER_OF_TWO, slots=2, weights=(1, 1, 1))
    assert stages_of(topology) == (expected,) * 4
    assert [stage.instances for stage in stages_of(Topology.sequential())] == [1, 1, 1, 1]


@pytest.mark.parametrize("distribution", Distribution)
def test_service_times_have_the_mean_they_are_given(distribution: Distribution) -> None:
    stage = Stage(service_time_s=0.04, distribution=distribution)
    drawn = np.array(list(islice(stage.service_times(np.random.default_rng(1)), 100_000)))
    expected = 0.0 if distribution is Distribution.NONE else 0.04
    assert drawn.mean() == pytest.approx(expected, abs=5 * drawn.std() / 100_000**0.5 + 1e-12)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Stage(0), "instances"),
        (lambda: Stage(slots=0), "slots"),
        (lambda: Stage(service_time_s=-1.0), "service_time_s"),
        (lambda: Stage(2, speeds=(1.0, 1.0, 1.0)), "speeds"),
        (lambda: Stage(speeds=(0.0,)), "speeds"),
        (lambda: Stage(2, weights=(1, 1, 1)), "weights"),
        (lambda: Stage(distribution="lognormall"), "distribution must be one of constant, exp.*'lognormall'"),
        (lambda: Stage(distribution=None), "distribution must be one of"),
        (lambda: Stage(policy="round_robbin"), "policy must be one of round_robin.*'round_robbin'"),
        (lambda: Stage(policy=3), "policy must be one of"),
        (lambda: Stage(2.5), "instances is 2.5"),
        (lambda: Stage(True), "instances is True"),
        (lambda: Stage(slots="2"), "slots is '2'"),
        (lambda: Stage(limit=0), "limit is 0"),
        (lambda: Stage(limit=1.5), "limit is 1.5"),
        (lambda: Stage(service_time_s="1"), "service_time_s is '1'"),
        (lambda: Stage(service_time_s=float("inf")), "service_time_s is inf"),
        (lambda: Stage(service_time_s=float("nan")), "service_time_s is nan"),
        (lambda: Stage(speeds="fast"), "speeds is 'fast'"),
        (lambda: Stage(speeds=0.5), "speeds is 0.5"),
        (lambda: Stage(speeds=(float("inf"),)), "speeds is inf"),
        (lambda: Stage(weights=(0,)), "weights is 0"),
        (lambda: Stage(weights=(1.5,)), "weights is 1.5"),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused_by_name(make: Any, named: str) -> None:
    with pytest.raises(BadParameter, match=named):
        make()


def test_what_is_chosen_by_name_may_be_text_and_what_is_a_list_a_list() -> None:
    given: dict[str, Any] = {"distribution": "lognormal", "policy": "peak_ewma", "speeds": [0.5, 1]}
    made = Stage(2, **given, weights=np.array([1, 2]))  # type: ignore[arg-type]
    assert made == Stage(
        2, 1.0, Distribution.LOGNORMAL, PolicyName.PEAK_EWMA, speeds=(0.5, 1.0), weights=(1, 2)
    )


def test_the_package_offers_each_name_that_it_lists() -> None:
    for name in theory.__all__:
        assert getattr(theory, name).__doc__, name
