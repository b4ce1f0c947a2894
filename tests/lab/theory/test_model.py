"""Stages: what a topology makes of them, what they refuse, and the service times they draw."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest

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
    ],
)
def test_a_stage_that_makes_no_sense_is_refused_by_name(make: Callable[[], Stage], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()
