"""What nginx is told before instances that speak gRPC.

On its port it takes HTTP/1.1 and HTTP/2, told apart by how a connection begins.
"""

from __future__ import annotations

from lab.placement.proxies.formatting import all_failed, milliseconds
from lab.placement.proxies.nginx_config import UPSTREAM, answered_here, block, document, limits, upstream
from lab.placement.proxies.proxy import Place
from services.balancer.settings import BalancerSettings

__all__ = ["configuration"]

STREAMS = 4096
"""Calls at once on one connection; more of them wait at the client."""
PASS = f"grpc_pass grpc://{UPSTREAM};"


def configuration(settings: BalancerSettings, place: Place, *, matched: bool) -> str:
    """The file nginx.conf."""
    server = [*answered_here(settings, place), "http2 on;", *block("location /", [PASS])]
    http = [
        *(limits(settings) if matched else []),
        *(_towards_instances(settings) if matched else []),
        *block(f"upstream {UPSTREAM}", upstream(settings, matched)),
        *block("server", [*server, *(_failover(settings) if matched else [])]),
    ]
    return document(place, http, matched=matched)


def _towards_instances(settings: BalancerSettings) -> list[str]:
    return [
        f"http2_max_concurrent_streams {STREAMS};",
        "grpc_buffer_size 16k;",
        f"grpc_connect_timeout {milliseconds(settings.connect_timeout_s)};",
        f"grpc_read_timeout {milliseconds(settings.try_timeout_s)};",
        f"grpc_send_timeout {milliseconds(settings.try_timeout_s)};",
        f"grpc_next_upstream_timeout {milliseconds(settings.total_timeout_s)};",
        "grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        f'grpc_set_header Via "2 {settings.name}";',
    ]


def _failover(settings: BalancerSettings) -> list[str]:
    """Retries on the methods where they are safe, and as statuses of gRPC what nginx would give as pages."""
    lines = []
    for method in sorted(settings.idempotent):
        lines += block(f"location = {method}", ["grpc_next_upstream error timeout non_idempotent;", PASS])
    return [
        *lines,
        "error_page 413 = @too_large;",
        "error_page 502 504 = @failed;",
        *block("location @too_large", _status(settings, RESOURCE_EXHAUSTED, "the message is over the limit")),
        *block("location @failed", _status(settings, UNAVAILABLE, all_failed(settings))),
    ]


RESOURCE_EXHAUSTED, UNAVAILABLE = 8, 14


def _status(settings: BalancerSettings, code: int, message: str) -> list[str]:
    """An answer without a body, which ends a call."""
    return [
        "default_type application/grpc;",
        f"add_header grpc-status {code} always;",
        f'add_header grpc-message "{message}" always;',
        f'add_header answered-by "{settings.name}" always;',
        "return 204;",
    ]
