"""Policies are ranked by what was simulated."""

from __future__ import annotations

from typing import Any

from lab.charts import (
    policies,
    policy_answer,
    policy_table,
)
from lab.measure.statistics import Interval
from lab.policy_comparison import PolicyResult, Scenario
from services.names import PolicyName


def result_of(scenario: Scenario, policy: PolicyName, ms: float) -> PolicyResult:
    return PolicyResult(scenario, policy, Interval(ms, ms - 2, ms + 2), None, ms + 1, 3 * ms, 0.25, 100, 0)


RESULTS = [
    result_of(Scenario.ONE_SLOW, PolicyName.ROUND_ROBIN, 80.0),
    result_of(Scenario.ONE_SLOW, PolicyName.PEAK_EWMA, 25.0),
    result_of(Scenario.HEAVY_TAILED, PolicyName.ROUND_ROBIN, 60.0),
    result_of(Scenario.HEAVY_TAILED, PolicyName.CENTRAL_QUEUE, 30.0),
]


def axes_of(chart: Any) -> list[Any]:
    return list(chart.figure.axes)


def test_policies_are_ranked_by_what_was_simulated() -> None:
    chart = policies(RESULTS)
    assert [[label.get_text() for label in ax.get_yticklabels()] for ax in axes_of(chart)] == [
        ["peak_ewma", "round_robin"],
        ["central_queue", "round_robin"],
    ]
    assert [row[1] for row in policy_table(RESULTS).rows][::2] == ["peak_ewma", "central_queue"]
    answer = str(policy_answer(RESULTS))
    assert "peak_ewma wins**" in answer
    assert "round_robin takes 3.1 times as long" in answer
