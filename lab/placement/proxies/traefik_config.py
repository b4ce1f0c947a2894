"""What Traefik is told."""

from __future__ import annotations

from typing import Any

from lab.placement.proxies.formatting import hostport, milliseconds
from lab.placement.proxies.proxy import Place
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["ATTEMPTS", "DYNAMIC", "POLICIES", "STATIC", "dynamic", "static"]

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


def static(settings: BalancerSettings, place: Place, *, matched: bool) -> Json:
    """What it reads once: where it listens, what it counts, where the rest is."""
    counted = _access_log(place) if settings.policy is PolicyName.POWER_OF_TWO else METRICS
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
        "entryPoints": {"web": {"address": hostport(settings), **(_manners(settings) if matched else {})}},
        "providers": {
            # Else it holds back what it read, and its own end, for two seconds.
            "providersThrottleDuration": "10ms",
            "file": {"filename": place.path(DYNAMIC), "watch": False},
        },
        **counted,
    }


def dynamic(settings: BalancerSettings, place: Place, *, matched: bool) -> Json:
    """What becomes of requests."""
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
    lab = {"loadBalancer": {"servers": [{"url": f"http://{place.endpoint}"}]}}
    extra = {"serversTransport": "instances", **_checks(settings)} if matched else {}
    servers = {i.name: {"url": f"http://{hostport(i)}"} for i in settings.instances}
    if settings.policy is PolicyName.POWER_OF_TWO:
        return {
            INSTANCES: {"loadBalancer": {"strategy": "p2c", "servers": list(servers.values()), **extra}},
            "lab": lab,
        }
    weighted = settings.policy is PolicyName.WEIGHTED_ROUND_ROBIN
    weights = [{"name": i.name, "weight": i.weight if weighted else 1} for i in settings.instances]
    heeded: Json = {"healthCheck": {}} if extra.get("healthCheck") else {}
    return {
        INSTANCES: {"weighted": {"services": weights, **heeded}},
        "lab": lab,
        **{name: {"loadBalancer": {"servers": [server], **extra}} for name, server in servers.items()},
    }


def _checks(settings: BalancerSettings) -> Json:
    if not settings.check_interval_s:
        return {}
    interval, timeout = milliseconds(settings.check_interval_s), milliseconds(settings.check_timeout_s)
    return {"healthCheck": {"path": "/health", "interval": interval, "timeout": timeout}}


def _care(settings: BalancerSettings) -> Json:
    """Towards the instances: retries of what was not sent, headers, connections and time-outs."""
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
