"""What HAProxy is told."""

from __future__ import annotations

import json

import lab.placement.proxies.grpc_check as grpc_check
from lab.placement.proxies.formatting import (
    all_failed,
    documented_health,
    hostport,
    milliseconds,
    refusal,
    too_large,
)
from lab.placement.proxies.proxy import Place
from services.balancer.settings import BalancerSettings, PolicyName
from services.protocols import ProtocolName

__all__ = ["ADMIN", "CONFIG", "INSTANCES", "POLICIES", "REFUSAL", "configuration", "refused"]

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


HTTP_CHECK = ["option httpchk GET /health", "http-check expect status 200"]
# A body with a zero byte, which every message of gRPC has, is beyond its checks over HTTP.
GRPC_CHECK = [
    "option tcp-check",
    f"tcp-check send-binary {grpc_check.SENT.hex()}",
    f"tcp-check expect binary {grpc_check.SERVING.hex()}",
]


def _checks(settings: BalancerSettings) -> str:
    """Checks as the built-in balancer makes them; one refusal ejects until enough of them have passed."""
    return (
        f" check inter {milliseconds(settings.check_interval_s)} rise {settings.rise} fall {settings.fall}"
        " observe layer4 error-limit 1 on-error mark-down"
    )
