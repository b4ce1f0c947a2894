"""The documented pipeline: the names, routes and ports of service1 to service4 and of their balancers.

Nothing else in the tree writes them down. Topologies are built from them, and a server started on its own has
them as defaults: what it listens on, what it answers, and which service comes next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.addresses import Address, is_everywhere, is_http_url
from services.environment import SettingsError

__all__ = [
    "DOCUMENTED",
    "PATHS",
    "SPARE_PORT",
    "DocumentedService",
    "balancer_defaults",
    "balancer_name",
    "next_service",
    "service_defaults",
]


@dataclass(frozen=True, slots=True)
class DocumentedService:
    """One service of the documented pipeline.

    `ports` are those of the four instances of the parallel topology; the only instance of the sequential one
    listens on the first of them.
    """

    name: str
    path: str
    ports: tuple[int, int, int, int]
    balancer_port: int

    @property
    def port(self) -> int:
        """The port of the sequential topology's instance."""
        return self.ports[0]

    @property
    def instances(self) -> tuple[tuple[str, int], ...]:
        """Name and port of each instance of the parallel topology: `service1a` on 8051 and so on."""
        return tuple((self.name + letter, port) for letter, port in zip("abcd", self.ports, strict=True))

    @property
    def url_variable(self) -> str:
        """The environment variable in which the service before this one finds its base URL."""
        return f"{self.name.upper()}_URL"

    @property
    def url(self) -> str:
        """The base URL of the sequential topology's instance."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def published_url(self) -> str:
        """The base URL of the service's balancer where each server is a host of its own name."""
        return f"http://{balancer_name(self.name)}:{self.balancer_port}"


DOCUMENTED = (
    DocumentedService("service1", "/process", (8051, 8055, 8057, 8059), 8061),
    DocumentedService("service2", "/preprocess", (8052, 8056, 8058, 8060), 8062),
    DocumentedService("service3", "/analyze", (8053, 8065, 8067, 8069), 8063),
    DocumentedService("service4", "/report", (8054, 8066, 8068, 8070), 8064),
)
"""In the order a request passes them."""
SPARE_PORT = 8071
"""The port of the first instance beyond the documented ones; the next ones take those above it."""
PATHS = tuple(service.path for service in DOCUMENTED)
"""The routes of service1 to service4."""

_PLACES = {service.name: place for place, service in enumerate(DOCUMENTED)}


def balancer_name(service: str) -> str:
    """Return the name of a service's balancer: `service1-loadbalancer`."""
    return f"{service}-loadbalancer"


def next_service(service: str) -> DocumentedService | None:
    """Return the service that a documented one calls; None for the last one and for any other name."""
    place = _PLACES.get(service)
    return DOCUMENTED[place + 1] if place is not None and place + 1 < len(DOCUMENTED) else None


def service_defaults(service: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of ServiceSettings that need no variable: none where `service` is not documented.

    The next hop is the sequential topology's on this machine, or, where the service listens on all addresses,
    as in a container, the next service's balancer by its published name.
    Raises SettingsError where the variable of the next service holds no base URL.
    """
    place = _PLACES.get(service)
    if place is None:
        return {}
    known: dict[str, Any] = {"port": DOCUMENTED[place].port, "path": DOCUMENTED[place].path}
    following = next_service(service)
    if following:
        everywhere = is_everywhere(environ.get("SERVICE_HOST", ""))
        usual = following.published_url if everywhere else following.url
        base = environ.get(following.url_variable, usual).rstrip("/")
        if not is_http_url(base, with_path=False):
            raise SettingsError(
                f"{following.url_variable} is {base!r}: give a base URL such as {following.url}"
            )
        known["next_service"], known["next_url"] = following.name, base + following.path
        known["hops_left"] = len(DOCUMENTED) - 1 - place
    return known


def balancer_defaults(service: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of BalancerSettings that need no variable: none where `service` is not documented.

    There are no instances, or, where the balancer listens on all addresses, as in a container, the parallel
    topology's by their published names.
    """
    place = _PLACES.get(service)
    if place is None:
        return {}
    known: dict[str, Any] = {
        "port": DOCUMENTED[place].balancer_port,
        "hops_left": 2 * (len(DOCUMENTED) - place) - 1,
    }
    if is_everywhere(environ.get("BALANCER_HOST", "")):
        known["instances"] = tuple(Address(name, name, port) for name, port in DOCUMENTED[place].instances)
    return known
