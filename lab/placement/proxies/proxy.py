"""What all real balancers have in common: who they are, what they are told, and what they are asked."""

from __future__ import annotations

import ipaddress
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, ClassVar, Protocol

from lab.errors import NotSupported
from lab.placement.names import BalancerName
from lab.placement.proxies.binaries import Program
from services.balancer.addresses import Address
from services.balancer.settings import BalancerSettings, PolicyName

__all__ = ["Count", "Counter", "Place", "Profile", "Proxy", "documented", "health_body", "refusal_body", "seconds"]


class Profile(StrEnum):
    """How a real balancer is configured."""

    MATCHED = "matched"
    """To do what the built-in one does, as far as it can, with one thread."""
    VENDOR = "vendor"
    """As its makers ship it: only what it needs to run here, and to be counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one balancer runs. `folder` is the only one it writes to; at `endpoint`, a loopback `host:port`,
    the lab answers GET /stats for it, and GET /health where it cannot do so itself."""

    folder: Path
    endpoint: str

    def path(self, name: str) -> str:
        """The full path of a file in its folder."""
        return str(self.folder / name)


@dataclass(frozen=True, slots=True)
class Count:
    """Attempts at one instance, and how many of them failed."""

    requests: int = 0
    errors: int = 0


class Counter(Protocol):
    """Reads what one running balancer has counted."""

    def counts(self) -> Mapping[str, Count]:
        """By the instance's name; who has had no attempt yet may be left out. Raises OSError or ValueError."""


class Proxy(ABC):
    """One real balancer. Stateless: rendering is pure, and what runs is a ProxyProcess."""

    name: ClassVar[BalancerName]
    program: ClassVar[Program]
    policies: ClassVar[Mapping[PolicyName, Any]]
    """The policies it has, and what each is in its configuration."""
    stop_signal: ClassVar[Signals] = SIGTERM
    """What makes it finish what it has and end."""

    def render(self, settings: BalancerSettings, profile: Profile, place: Place) -> dict[str, str]:
        """Its configuration, as texts by file name. Raises NotSupported for what it does not have."""
        self._require(settings)
        return self._render(settings, profile, place)

    @abstractmethod
    def command(self, binary: Path, folder: Path, profile: Profile) -> list[str]:
        """What starts it in the foreground."""

    def environ(self, folder: Path, profile: Profile) -> dict[str, str]:
        """Environment variables it needs beside those that are set."""
        return {}

    @abstractmethod
    def counter(
        self, settings: BalancerSettings, place: Place, send_signal: Callable[[Signals], None]
    ) -> Counter:
        """What reads the counts of the one that runs at that place and takes signals there."""

    @abstractmethod
    def _render(self, settings: BalancerSettings, profile: Profile, place: Place) -> dict[str, str]: ...

    def _require(self, settings: BalancerSettings) -> None:
        if settings.policy not in self.policies:
            raise NotSupported(
                f"{self.name} has no {settings.policy} policy: choose from {', '.join(self.policies)}, "
                "or the built-in balancer"
            )
        for name in (settings.service, settings.name, *(i.name for i in settings.instances)):
            if not _NAME.fullmatch(name):
                raise NotSupported(f"{self.name} cannot be told of {name!r}: use letters, digits, '.', '_' and '-'")
        for host in (settings.host, *(i.host for i in settings.instances)):
            if not _is_address(host):
                raise NotSupported(f"{self.name} would have to look up {host!r}: give its address, such as 127.0.0.1")


def documented(settings: BalancerSettings, counts: Mapping[str, Count]) -> dict[str, Any]:
    """Counts in the documented shape of /stats."""
    labels = {instance.name: f"{instance.name}:{instance.port}" for instance in settings.instances}
    known = {labels[name]: counts.get(name, Count()) for name in labels}
    return {
        "instances": list(labels.values()),
        "stats": {label: {"requests": count.requests, "errors": count.errors} for label, count in known.items()},
    }


def health_body(settings: BalancerSettings) -> str:
    """The documented answer to GET /health."""
    return json.dumps({"status": "healthy", "service": settings.name})


def refusal_body(settings: BalancerSettings) -> str:
    """What a request is told that no instance answered."""
    tried = ", ".join(f"{instance.name}:{instance.port}" for instance in settings.instances)
    return json.dumps({"detail": f"all instances failed: there are {tried}"})


def hostport(instance: Address) -> str:
    """`127.0.0.1:8051`, or `[::1]:8051`."""
    return f"[{instance.host}]:{instance.port}" if ":" in instance.host else f"{instance.host}:{instance.port}"


def milliseconds(duration_s: float) -> int:
    """Seconds as whole milliseconds, at least one: a time-out of zero would be none at all."""
    return max(1, round(duration_s * 1000))


_NAME = re.compile(r"[A-Za-z0-9._-]+")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
