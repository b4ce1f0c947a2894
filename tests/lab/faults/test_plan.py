"""A plan of faults says what is wrong with it before anything starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

import lab
from lab.errors import BadParameter, NotSupported
from lab.faults import plan, plan_faults, play
from tests.support.measurements import make_measurement

KILL = ("at 1 kill service2a for 1",)


def test_what_all_speak_may_be_grpc() -> None:
    assert plan_faults(KILL).topology.protocol is lab.ProtocolName.HTTP
    assert plan_faults(KILL, protocol="grpc").topology.protocol is lab.ProtocolName.GRPC


@pytest.mark.parametrize(
    "asked",
    [
        {"protocol": "smoke"},
        {"policy": "smoke"},
        {"client": "smoke"},
        {"placement": "smoke"},
        {"balancers": "smoke"},
        {"balancers": []},
        {"rate": 0},
        {"rate": 1},
        {"redo_invalid": -1},
        {"replicas": 0},
        {"work_ms": -1},
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(BadParameter):
        plan_faults(KILL, **asked)


@pytest.mark.parametrize("asked", [{"protocol": "grpc"}, {"policy": "least_connections"}])
def test_what_one_of_the_balancers_does_not_have_is_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(NotSupported, match="traefik"):
        plan_faults(KILL, balancers=["builtin", "traefik"], **asked)


def test_a_rate_that_gives_too_few_answers_is_refused_with_the_one_to_take() -> None:
    with pytest.raises(BadParameter, match=r"11 / 6 = 1\.9 or more"):
        plan_faults(KILL, rate=1.8)
    assert plan_faults(KILL, rate=1.9)


def test_a_run_that_others_spoilt_is_played_again_and_the_last_one_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = iter([make_measurement().invalidated(["machine_busy"]), make_measurement(), make_measurement()])
    played: list[str] = []

    def run_faults(*_: Any, balancer: str, **__: Any) -> Any:
        played.append(str(balancer))
        return SimpleNamespace(number=len(played), measurement=next(rows))

    monkeypatch.setattr(plan, "run_faults", run_faults)
    runs = play(plan_faults(KILL, balancers=["builtin", "haproxy"]))
    assert played == ["builtin", "haproxy", "builtin"]
    assert [run.number for run in cast(Any, runs)] == [3, 2]
