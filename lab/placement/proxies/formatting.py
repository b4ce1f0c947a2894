"""What the configurations of balancers have in common: documented answers, addresses, durations, numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lab.placement.proxies.proxy import Count
from services.addresses import Address, address_of
from services.balancer.settings import BalancerSettings

__all__ = [
    "all_failed",
    "documented_health",
    "documented_stats",
    "hostport",
    "milliseconds",
    "numbers_above",
    "refusal",
    "too_large",
]


def documented_health(settings: BalancerSettings) -> dict[str, str]:
    """Return the documented answer to GET /health."""
    return {"status": "healthy", "service": settings.name}


def documented_stats(settings: BalancerSettings, counts: Mapping[str, Count]) -> dict[str, Any]:
    """Return the documented answer to GET /stats, from counts by the instance's name."""
    stats = {}
    for instance in settings.instances:
        count = counts.get(instance.name, Count())
        stats[f"{instance.name}:{instance.port}"] = {"requests": count.requests, "errors": count.errors}
    return {"instances": list(stats), "stats": stats}


def refusal(settings: BalancerSettings) -> str:
    """Return the JSON body of a 503: no instance answered."""
    return json.dumps({"detail": all_failed(settings)})


def all_failed(settings: BalancerSettings) -> str:
    """Return the sentence that no instance answered, which names the instances."""
    known = ", ".join(f"{instance.name}:{instance.port}" for instance in settings.instances)
    return f"all instances failed: there are {known}"


def too_large(settings: BalancerSettings) -> str:
    """Return the JSON body of a 413: the request's body is over the limit."""
    return json.dumps({"detail": f"the body is over the limit of {settings.request_limit_bytes} bytes"})


def hostport(server: Address | BalancerSettings) -> str:
    """Return where a server listens: `127.0.0.1:8051`, or `[::1]:8051`."""
    return address_of(server.host, server.port)


def milliseconds(duration_s: float) -> str:
    """Write a duration as `250ms`, at least `1ms`: balancers take a time-out of zero for none at all."""
    return f"{max(1, round(duration_s * 1000))}ms"


def numbers_above(limit: int) -> str:
    """Return a regular expression of the whole numbers above `limit`, where a balancer compares only text."""
    digits = str(limit)
    longer = rf"\d{{{len(digits) + 1},}}"
    greater = [
        rf"{digits[:place]}[{int(digit) + 1}-9]\d{{{len(digits) - place - 1}}}"
        for place, digit in enumerate(digits)
        if digit != "9"
    ]
    return f"^0*(?:{'|'.join([longer, *greater])})$"
