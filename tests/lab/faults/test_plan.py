"""A plan of faults says what is wrong with it before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

import lab
from lab.errors import BadParameter, NotSupported
from lab.faults import plan_faults

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
