"""The Server-Timing header (W3C, Server Timing): what the servers say of where the time went."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["find", "parse"]

_NAME = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = rb";\s*" + _NAME + rb'\s*(?:=\s*(?:"[^"]*"|[^,;"]*))?'
_METRIC = re.compile(
    rb"(?:^|,)\s*(" + _NAME + rb")\s*(?:" + _PARAMETER + rb')*?;\s*dur\s*=\s*"?([0-9]+(?:\.[0-9]+)?)'
)


def find(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The header's value among an answer's headers, empty where there is none; several are made one."""
    found = [value for name, value in headers if len(name) == 13 and name.lower() == b"server-timing"]
    return found[0] if len(found) == 1 else b", ".join(found)


def parse(value: bytes) -> list[tuple[bytes, float]]:
    """The metrics that have a duration: name and milliseconds, in the order they came."""
    return [(name, float(duration)) for name, duration in _METRIC.findall(value)]
