"""Turn a topology into the settings of its servers, and the name of an application into the application."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from lab.errors import BadParameter
from lab.topology import Instance, OwnProgram, Service, Topology
from services.balancer.settings import Address, BalancerSettings
from services.settings import ServiceSettings

__all__ = ["IMPORTED_LATE", "balancer_settings", "create_app", "service_settings"]

LEDGER_LIMIT = 1000
"""Request ids that an instance with a ledger keeps in memory; its file has them all."""
IMPORTED_LATE = ("services.pipeline", "httpx")
"""Modules that services import only when they are made."""


def service_settings(topology: Topology, service: Service, instance: Instance) -> ServiceSettings:
    """Return the settings of one instance: its name and address, what a request costs and whom it calls.

    Raises BadParameter for a value that makes no sense.
    """
    later = topology.beyond(service)
    with _sensible(instance.name):
        return ServiceSettings(
            service=service.name,
            instance=instance.name,
            host=instance.host,
            port=instance.port,
            path=service.path,
            next_url=topology.next_url(service.name),
            next_service=later[0].name if later else None,
            work=service.work,
            client=service.client,
            timeout_s=service.timeout_s,
            faults=service.faults,
            ledger_limit=LEDGER_LIMIT if service.ledger else 0,
            ledger_file=str(Path(service.ledger, instance.name)) if service.ledger else "",
            hops_left=_servers_in(later),
        )


def balancer_settings(topology: Topology, service: Service) -> BalancerSettings:
    """Return the settings of the balancer of a service: its instances, and how it spreads requests over them.

    Raises BadParameter for a value that makes no sense.
    """
    assert service.balancer is not None, f"{service.name} has no balancer"
    own = {} if service.program is None else _of_program(service.program)
    with _sensible(service.balancer.name):
        return BalancerSettings(
            service=service.name,
            name=service.balancer.name,
            host=service.balancer.host,
            port=service.balancer.port,
            policy=service.balancer.policy,
            seed=service.balancer.seed,
            instances=tuple(Address(i.name, i.host, i.port, i.weight) for i in service.instances),
            hops_left=1 + _servers_in(topology.beyond(service)),
            timeout_s=service.timeout_s,
            **{**own, **service.balancer.tuning.fields, "in_flight_limit": service.in_flight_limit},
        )


def _of_program(program: OwnProgram) -> dict[str, Any]:
    """Return the settings of a balancer before a program: no checks of /health, no documented routes.

    Instances are judged by how they answer requests.
    """
    return {"idempotent": frozenset(program.idempotent), "check_interval_s": 0.0}


def create_app(service: Service, settings: ServiceSettings) -> Any:
    """Make the ASGI application of one instance, by the factory named `module:function` in the service.

    Raises BadParameter where there is no such factory.
    """
    module, _, function = service.app.partition(":")
    try:
        factory = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise BadParameter(
            f"{service.name} has no application {service.app!r} ({error}): name one as module:function"
        ) from None
    return factory(settings)


@contextmanager
def _sensible(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise BadParameter(f"{name} cannot be set up: {error}") from None


def _servers_in(services: tuple[Service, ...]) -> int:
    """Return the number of servers that a request passes in these services, balancers included."""
    return sum(2 if service.balancer else 1 for service in services)
