"""What nginx is told."""

from __future__ import annotations

import json
from math import ceil

from lab.placement.proxies.formatting import documented_health, hostport, milliseconds, refusal, too_large
from lab.placement.proxies.proxy import Place
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = [
    "ATTEMPTS",
    "CONFIG",
    "POLICIES",
    "UPSTREAM",
    "answered_here",
    "block",
    "configuration",
    "document",
    "limits",
    "upstream",
]

CONFIG = "nginx.conf"
ATTEMPTS = "attempts.log"
UPSTREAM = "instances"
LINE = "$upstream_addr|$upstream_header_time|$status"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
MANY = 1_000_000_000

POLICIES = {
    PolicyName.ROUND_ROBIN: "",
    PolicyName.WEIGHTED_ROUND_ROBIN: "",
    PolicyName.LEAST_CONNECTIONS: "least_conn;",
    PolicyName.RANDOM: "random;",
    PolicyName.POWER_OF_TWO: "random two least_conn;",
}
"""Without a policy it goes round, heeding weights where there are any."""


def configuration(settings: BalancerSettings, place: Place, *, matched: bool) -> str:
    """The file nginx.conf."""
    http = [
        *(limits(settings) if matched else []),
        *(_towards_instances(settings) if matched else []),
        *block(f"upstream {UPSTREAM}", upstream(settings, matched)),
        *block("server", [*_server(settings, place), *(_failover(settings) if matched else [])]),
    ]
    return document(place, http, matched=matched)


def document(place: Place, http: list[str], *, matched: bool) -> str:
    """The whole file, around what it is told of HTTP."""
    counting = [
        f"log_format attempts '{LINE}';",
        f'access_log "{place.path(ATTEMPTS)}" attempts buffer=64k;',
        *(f'{kind}_temp_path "{place.path(kind)}";' for kind in TEMPORARY),
    ]
    lines = [
        "daemon off;",
        "master_process off;",
        f'pid "{place.path("nginx.pid")}";',
        "error_log stderr error;",
        *block("events", ["worker_connections 4096;"] if matched else []),
        *block("http", [*counting, *http]),
    ]
    return "\n".join(lines) + "\n"


def limits(settings: BalancerSettings) -> list[str]:
    """Towards the client."""
    return [
        "tcp_nodelay on;",
        "server_tokens off;",
        f"client_max_body_size {settings.body_limit_bytes};",
        f"client_body_buffer_size {settings.replay_limit_bytes};",
        f"client_header_timeout {milliseconds(settings.head_timeout_s)};",
        f"client_body_timeout {milliseconds(settings.body_timeout_s)};",
        f"keepalive_timeout {milliseconds(settings.idle_timeout_s)};",
        f"keepalive_requests {MANY};",
    ]


def _towards_instances(settings: BalancerSettings) -> list[str]:
    return [
        "proxy_http_version 1.1;",
        "proxy_buffer_size 16k;",
        "proxy_buffers 16 16k;",
        "proxy_max_temp_file_size 0;",
        f"proxy_connect_timeout {milliseconds(settings.connect_timeout_s)};",
        f"proxy_read_timeout {milliseconds(settings.try_timeout_s)};",
        f"proxy_send_timeout {milliseconds(settings.try_timeout_s)};",
        f"proxy_next_upstream_timeout {milliseconds(settings.total_timeout_s)};",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Request-ID $known_request_id;",
        f'proxy_set_header Via "1.1 {settings.name}";',
        *block(
            "map $http_x_request_id $known_request_id", ["default $http_x_request_id;", '"" $request_id;']
        ),
    ]


def upstream(settings: BalancerSettings, matched: bool) -> list[str]:
    """The instances, and the connections kept to them."""
    weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
    ejection = f" max_fails=1 fail_timeout={ceil(settings.backoff_s)}s" if matched else ""
    kept = [
        "keepalive 512;",
        f"keepalive_requests {MANY};",
        f"keepalive_timeout {milliseconds(settings.instance_idle_s)};",
    ]
    return [
        # nginx wants the policy named before the connections that it keeps.
        *filter(None, [POLICIES[settings.policy]]),
        *(
            f"server {hostport(instance)}{f' weight={instance.weight}' if weighted else ''}{ejection};"
            for instance in settings.instances
        ),
        *(kept if matched else []),
    ]


def _server(settings: BalancerSettings, place: Place) -> list[str]:
    return [*answered_here(settings, place), *block("location /", [f"proxy_pass http://{UPSTREAM};"])]


def answered_here(settings: BalancerSettings, place: Place) -> list[str]:
    """Where it listens, and what goes to no instance."""
    health = f"return 200 '{json.dumps(documented_health(settings))}';"
    return [
        f"listen {hostport(settings)} backlog=1024;",
        *block("location = /health", ["access_log off;", "default_type application/json;", health]),
        *block("location = /stats", ["access_log off;", f"proxy_pass http://{place.endpoint};"]),
    ]


def _failover(settings: BalancerSettings) -> list[str]:
    """Retries of what was sent, on the routes where that is safe, and answers that nginx would give as pages.

    Where it says 502 or 504 itself, that becomes 503; an instance's own pass through.
    """
    lines = []
    for path in sorted(settings.idempotent):
        again = "proxy_next_upstream error timeout non_idempotent;"
        lines += block(f"location = {path}", [again, f"proxy_pass http://{UPSTREAM};"])
    retry_after = "add_header Retry-After 1 always;"
    return [
        *lines,
        "error_page 413 @too_large;",
        "error_page 502 504 = @failed;",
        *block("location @too_large", [*JSON_TYPE, f"return 413 '{too_large(settings)}';"]),
        *block("location @failed", [*JSON_TYPE, retry_after, f"return 503 '{refusal(settings)}';"]),
    ]


JSON_TYPE = ["default_type application/json;"]


def block(head: str, lines: list[str]) -> list[str]:
    """Directives in braces."""
    return [f"{head} {{", *(f"    {line}" for line in lines), "}"]
