"""Charts and tables of runs under faults, from data alone."""

from __future__ import annotations

from typing import Any

import pytest

from lab.charts import (
    fault_answer,
    fault_counts,
    fault_incidents,
    under_faults,
)
from lab.faults import Fault, FaultRun, Incident
from lab.faults.report import Request
from lab.faults.watch import BalancerEvent
from services.balancer.events import EventKind
from tests.support.measurements import make_measurement


def run_of(balancer: str = "builtin", *, tells: bool = True) -> FaultRun:
    requests = tuple(
        Request(n / 10, 0.1, "http_503" if 40 <= n < 45 else "http_200", not 40 <= n < 45) for n in range(100)
    )
    kill = Incident(Fault.parse("at 2 kill service1b for 2"), 2.0, 4.1, 2.1, 5.0, 20, 0, 0.3)
    errors = Incident(Fault.parse("at 4 errors service2a 50% for 2"), 4.0, 6.0, None, None, 60, 5, 0.1)
    events = (
        BalancerEvent(2.1, "b", EventKind.EJECTED, "service1b", "unreachable"),
        BalancerEvent(2.1, "b", EventKind.RETRIED, "service1b", "refused"),
        BalancerEvent(5.0, "b", EventKind.RESTORED, "service1b", "checks"),
    )
    return FaultRun(
        topology="parallel",
        balancer=balancer,
        placement="in-process",
        rate=10.0,
        duration_s=10.0,
        requests=requests,
        due=100,
        dropped=0,
        executed_twice={"service1": 0, "service2": 3},
        incidents=(kill, errors),
        events=events if tells else (),
        measurement=make_measurement(),
        balancers_rss_mb=None,
    )


def axes_of(chart: Any) -> list[Any]:
    return list(chart.figure.axes)


def test_a_run_has_requests_rates_and_a_lane_for_each_server_at_fault() -> None:
    chart = under_faults(run_of())
    above, middle, below = axes_of(chart)
    assert sum(len(points.get_offsets()) for points in above.collections) == 100
    assert sum(bar.get_height() for bar in middle.patches if hasattr(bar, "get_height")) >= 100
    assert [label.get_text() for label in below.get_yticklabels()] == ["service1b", "service2a"]
    assert {text.get_text() for text in above.texts} == {"kill", "errors"}
    assert chart.png()


def test_several_runs_stand_below_each_other_on_the_same_scales() -> None:
    chart = under_faults(run_of(), run_of("nginx", tells=False))
    assert len(axes_of(chart)) == 6
    assert axes_of(chart)[0].get_ylim() == axes_of(chart)[3].get_ylim()
    assert chart.caption.count("- Behind") == 2


def test_tables_tell_delays_and_counts_and_what_a_balancer_does_not_tell() -> None:
    first, second = fault_incidents(run_of()).rows
    assert first[:6] == ("builtin", "kill service1b", "2.0–4.1", "0.10", "0.90", "20")
    assert second[3:5] == ("–", "–")
    ours, theirs = fault_counts(run_of(), run_of("nginx", tells=False)).rows
    assert ours == ("builtin", "100", "95", "5", "http_503 5", "0", "1", "service2 3")
    assert theirs[6] == "not told"


@pytest.mark.parametrize("tells", [True, False])
def test_the_answer_says_what_was_lost_and_under_which_faults_requests_failed(tells: bool) -> None:
    text = str(fault_answer(run_of(tells=tells)))
    assert "no request was lost, and 5 of 100 failed" in text
    assert "Requests failed under errors (5)." in text
    assert "Clients saw nothing fail under kill." in text
    assert "3 requests twice" in text
