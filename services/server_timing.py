"""The Server-Timing header (W3C, Server Timing): where the servers say a request's time went.

A service writes how long the request waited for a slot and held it, and after that what the next service
wrote: `service1-queue;dur=0.000, service1-work;dur=40.300, service2-queue;…`, in milliseconds. Over gRPC the
same text is trailing metadata. The load generator reads what any server writes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

__all__ = ["SERVER_TIMING", "compose", "find", "metric_names", "parse"]

SERVER_TIMING = "server-timing"
"""The name of the header, and of the trailing metadata in gRPC."""

_FIELD = SERVER_TIMING.encode()
_NAME = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = rb";\s*" + _NAME + rb'\s*(?:=\s*(?:"[^"]*"|[^,;"]*))?'
_NUMBER = rb"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_METRIC = re.compile(
    rb"(?:^|,)\s*(" + _NAME + rb")\s*(?:" + _PARAMETER + rb')*?;\s*[dD][uU][rR]\s*=\s*"?(' + _NUMBER + rb")"
)


def compose(service: str, queue_s: float, work_s: float, beyond: str | None) -> str:
    """Return the value that a service sends: its own times (given in seconds), then the value of the next."""
    own = f"{service}-queue;dur={queue_s * 1000:.3f}, {service}-work;dur={work_s * 1000:.3f}"
    return f"{own}, {beyond}" if beyond else own


def find(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the value among a response's headers: empty where there is none, several joined by commas."""
    found = [value for name, value in headers if len(name) == 13 and name.lower() == _FIELD]
    return found[0] if len(found) == 1 else b", ".join(found)


def parse(value: bytes) -> list[tuple[bytes, float]]:
    """Return name and duration in milliseconds of each metric that has a duration, in the order they came."""
    found = [(name, float(duration)) for name, duration in _METRIC.findall(value)]
    return [(name, duration) for name, duration in found if duration < math.inf]


def metric_names(value: str) -> set[str]:
    """Return the names of the metrics that have a duration."""
    return {name.decode() for name, _ in parse(value.encode("latin-1", "replace"))}
