from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.measure.disturbance import Disturbance, DisturbanceSource
from lab.measure.validity import EXEMPTIBLE, Evidence, InvalidReason, is_spoilt, reasons_against

MOVED = {"throughput_rps": 0.06, "overhead_ms": 3.0}
BOUND = Disturbance(1.0, MOVED, DisturbanceSource.GENERATOR)
BUSY = Disturbance(1.0, MOVED, DisturbanceSource.OTHERS)
SOUND = Evidence(
    succeeded=1000,
    due=1000,
    dropped=0,
    littles_law_residual=0.01,
    request_share=0.001,
    drift=0.02,
    drift_p=0.5,
)


def test_a_sound_trial_is_valid() -> None:
    assert reasons_against(SOUND) == frozenset()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"disturbance": BOUND}, InvalidReason.GENERATOR_BOUND),
        ({"disturbance": BUSY}, InvalidReason.MACHINE_BUSY),
        ({"dropped": 11}, InvalidReason.RATE_NOT_ACHIEVED),
        ({"littles_law_residual": 0.052}, InvalidReason.LITTLES_LAW),
        ({"drift": 0.11, "drift_p": 0.0009}, InvalidReason.NOT_STEADY),
        ({"drift": -0.11, "drift_p": 0.0009}, InvalidReason.NOT_STEADY),
        ({"succeeded": 10}, InvalidReason.TOO_FEW_SAMPLES),
        ({"servers_changed": True}, InvalidReason.SERVERS_CHANGED),
        ({"balancer_shortages": 1}, InvalidReason.BALANCER_SHORT),
    ],
)
def test_each_threshold_passed_is_a_reason(change: dict[str, Any], reason: InvalidReason) -> None:
    assert reasons_against(replace(SOUND, **change)) == {reason}


@pytest.mark.parametrize(
    "change",
    [
        {"disturbance": Disturbance(1.0, {"throughput_rps": 0.05}, DisturbanceSource.OTHERS)},
        {"disturbance": Disturbance(9.0, {"response_time_mean_ms": 0.9}, DisturbanceSource.OTHERS)},
        {"dropped": 10},
        {"littles_law_residual": 0.1, "request_share": 0.06},
        {"drift": 0.09, "drift_p": 0.0},
        {"drift": 0.5, "drift_p": 0.01},
        {"succeeded": 11},
    ],
)
def test_short_of_it_is_none(change: dict[str, Any]) -> None:
    assert reasons_against(replace(SOUND, **change)) == frozenset()


def test_what_is_unknown_condemns_nobody() -> None:
    assert reasons_against(Evidence(succeeded=11, due=11, dropped=0)) == frozenset()


def test_all_reasons_are_said_at_once() -> None:
    bad = replace(SOUND, succeeded=1, servers_changed=True, disturbance=BOUND)
    assert reasons_against(bad) == {
        InvalidReason.TOO_FEW_SAMPLES,
        InvalidReason.SERVERS_CHANGED,
        InvalidReason.GENERATOR_BOUND,
    }


@given(st.sets(st.sampled_from(sorted(EXEMPTIBLE))))
def test_what_was_planned_is_no_reason_and_the_rest_still_is(planned: set[InvalidReason]) -> None:
    everything = Evidence(
        succeeded=1,
        due=100,
        dropped=50,
        disturbance=BOUND,
        littles_law_residual=1.0,
        drift=1.0,
        drift_p=0.0,
        servers_changed=True,
        balancer_shortages=1,
    )
    assert reasons_against(everything, planned) == set(InvalidReason) - {InvalidReason.MACHINE_BUSY} - planned


@pytest.mark.parametrize("reason", sorted(set(InvalidReason) - EXEMPTIBLE))
def test_nobody_may_plan_a_bound_generator_or_too_few_samples(reason: InvalidReason) -> None:
    with pytest.raises(BadParameter, match=reason):
        reasons_against(SOUND, {reason})


@pytest.mark.parametrize(
    ("text", "spoilt"),
    [
        (None, False),
        ("machine_busy", True),
        ("not_steady littles_law", True),
        ("servers_changed", True),
        ("rate_not_achieved", False),
        ("machine_busy rate_not_achieved", True),
        ("too_few_samples", False),
        ("machine_busy too_few_samples", True),
        ("machine_busy generator_bound", False),
        ("balancer_short", False),
        ("generator_bound", False),
    ],
)
def test_a_trial_is_spoilt_where_a_further_one_need_not_be_as_invalid(text: str | None, spoilt: bool) -> None:
    assert is_spoilt(text) is spoilt
