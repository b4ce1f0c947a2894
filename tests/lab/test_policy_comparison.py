"""Policies are tried on the same arrivals, measured and simulated, in settings that are plain data."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab import policy_comparison
from lab.errors import BadParameter
from lab.placement.ports import reserved_offset
from lab.policy_comparison import Scenario, Setting, compare_policies, plan_comparison
from lab.topology import Topology
from services.names import PolicyName
from tests.support.measurements import make_measurement


def test_a_slow_instance_is_slow_in_the_simulation_and_weighs_less_in_both() -> None:
    setting = Setting(Scenario.ONE_SLOW, 20.0, 0.25)
    stage = setting.stage(PolicyName.WEIGHTED_ROUND_ROBIN)
    assert (stage.speeds, stage.weights) == ((0.25,), (1, 4, 4, 4))
    assert setting.rate == pytest.approx(0.25 * 3.25 / 0.02)
    assert setting.topology(PolicyName.RANDOM).services[0].faults


def test_unlike_requests_need_no_faults_and_no_weights() -> None:
    setting = Setting(Scenario.HEAVY_TAILED, 20.0, 0.7)
    assert setting.stage(PolicyName.RANDOM).weights == (1, 1, 1, 1)
    assert setting.rate == pytest.approx(140)
    assert not setting.topology(PolicyName.RANDOM).services[0].faults


@pytest.mark.parametrize(
    "wrong",
    [
        {"utilization_one_slow": 0},
        {"utilization_heavy_tailed": 1},
        {"work_ms": 0},
        {"duration_s": -1},
        {"simulated_requests": 10},
        {"policies": ["best"]},
        {"redo_invalid": -1},
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(wrong: dict[str, object]) -> None:
    with pytest.raises(BadParameter):
        plan_comparison(**wrong)  # type: ignore[arg-type]


def test_every_policy_asked_for_is_measured_and_simulated_in_every_scenario() -> None:
    with reserved_offset(Topology.parallel()) as offset:
        plan = plan_comparison(
            policies=["round_robin", "peak_ewma"],
            # Some 80 requests a second in both: few enough for a machine that has other things to do.
            work_ms=10,
            utilization_heavy_tailed=0.2,
            duration_s=1,
            simulated_requests=10_000,
            port_offset=offset,
        )
        results = compare_policies(plan)
    assert [(s.scenario, s.policy) for s in results] == [
        (scenario, policy)
        for scenario in Scenario
        for policy in (PolicyName.ROUND_ROBIN, PolicyName.PEAK_EWMA)
    ]
    assert all(s.failed == 0 and s.answers > 20 and s.measured.estimate > 0 for s in results)
    turns, noticed = (s for s in results if s.scenario is Scenario.ONE_SLOW)
    assert turns.share_of_first == pytest.approx(0.25, abs=0.02)
    assert noticed.simulated_ms < turns.simulated_ms


def test_what_others_spoilt_is_measured_again_and_the_last_measurement_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verdicts = iter(["machine_busy", None, None])

    def result(_: object, setting: Setting, policy: PolicyName, *__: object) -> object:
        told = SimpleNamespace(of=(setting.scenario, policy), invalid_reason=next(verdicts))
        return told, make_measurement()

    monkeypatch.setattr(policy_comparison, "_result", result)
    results = compare_policies(plan_comparison(policies=["random"]))
    assert [(cast(Any, each).of, each.invalid_reason) for each in results] == [
        ((scenario, PolicyName.RANDOM), None) for scenario in Scenario
    ]
