"""Make a topology of a pipeline: a port, a command line and an environment for each of its servers.

A service finds those that it calls in its environment (`SEARCH_URL`: the balancer's where there is one), and
itself in `PORT` and `HOST`. Of what stands in braces only `{port}`, `{host}`, `{name}`, `{service.url}`,
`{service.host}` and `{service.port}` are filled in; other braces stay as they are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import islice
from urllib.parse import urlsplit

from lab.errors import BadParameter
from lab.pipeline.form import OwnService, Pipeline, ServiceKind, variable_stem
from lab.servers import Balancer, Instance, OwnProgram, Service, instance_names
from lab.topology import Topology
from services.balancer.tuning import Tuning
from services.documented import balancer_name
from services.names import PolicyName

__all__ = ["FIRST_PORT", "command_of", "environment_of", "origin_of", "topology_of"]

FIRST_PORT = 8201
"""The first port that servers of one's own take: above the documented ones."""
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9._-]+)\}")


def topology_of(pipeline: Pipeline, first_port: int = FIRST_PORT) -> Topology:
    """Place every server: the entry's first, then in the file's order, a balancer before its instances.

    Ports count up from `first_port` and leave out those that services insist on. Raises BadParameter where
    they do not suffice.
    """
    fixed = {form.port for form in pipeline.services.values() if form.port}
    free = (port for port in range(first_port, 65536) if port not in fixed)
    names = sorted(pipeline.services, key=lambda name: name != pipeline.entry.service)
    try:
        services = tuple(_placed(pipeline, name, free) for name in names)
        topology = Topology(pipeline.name, services, spare_port=next(free))
    except (StopIteration, RuntimeError):
        raise BadParameter(
            f"the servers of {pipeline.name} need more ports than there are from {first_port} to 65535"
        ) from None
    except ValueError as error:
        raise BadParameter(str(error)) from None
    return topology


def _placed(pipeline: Pipeline, name: str, free: Iterator[int]) -> Service:
    form = pipeline.services[name]
    balancer = _balancer(name, form, next(free)) if form.is_balanced else None
    return Service(
        name,
        pipeline.entry.path if name == pipeline.entry.service else form.ready or "/",
        _instances(name, form, free),
        balancer,
        program=_program(pipeline, form),
        calls=form.called,
    )


def _balancer(name: str, form: OwnService, port: int) -> Balancer:
    policy = form.policy or PolicyName.ROUND_ROBIN
    return Balancer(balancer_name(name), port, policy=policy, tuning=Tuning.read(form.tuning))


def _instances(name: str, form: OwnService, free: Iterator[int]) -> tuple[Instance, ...]:
    if form.url:
        parts = urlsplit(form.url)
        return (Instance(name, parts.port or 80, parts.hostname or ""),)
    names = islice(instance_names(name), form.replicas) if form.is_balanced else [name]
    return tuple(Instance(each, form.port or next(free)) for each in names)


def _program(pipeline: Pipeline, form: OwnService) -> OwnProgram:
    if form.url:
        return OwnProgram(tcp=form.kind is ServiceKind.TCP)
    return OwnProgram(
        command=_uvicorn(pipeline, form) if form.app else form.command,
        folder=pipeline.folder,
        environ=tuple(form.env.items()),
        ready=form.ready or "",
        ready_within_s=form.ready_within,
        tcp=form.kind is ServiceKind.TCP,
        idempotent=tuple(path for _, _, path in (route.partition(" ") for route in form.idempotent) if path),
    )


def _uvicorn(pipeline: Pipeline, form: OwnService) -> tuple[str, ...]:
    """Return the command that serves an app as its users do: with uvicorn, and the Python that has it."""
    python = sys.executable if form.python is None else form.python
    if form.python and "/" in form.python:
        python = str(pipeline.folder / form.python)
    served = (python, "-m", "uvicorn", form.app or "", "--app-dir", str(pipeline.folder))
    return (*served, "--host", "{host}", "--port", "{port}", "--no-access-log")


def environment_of(topology: Topology, service: Service, instance: Instance) -> dict[str, str]:
    """Return the variables that an instance gets, besides those that the lab itself was started with."""
    assert service.program is not None, f"{service.name} is a service of the lab"
    found = {"PORT": str(instance.port), "HOST": instance.host}
    found |= {f"{variable_stem(called.name)}_URL": _url(called) for called in topology.called_by(service)}
    return found | {name: _filled(text, topology, instance) for name, text in service.program.environ}


def command_of(topology: Topology, service: Service, instance: Instance) -> tuple[str, ...]:
    """Return the words of the command that starts an instance, with its placeholders filled in."""
    assert service.program is not None, f"{service.name} is a service of the lab"
    return tuple(_filled(word, topology, instance) for word in service.program.command)


def _filled(text: str, topology: Topology, instance: Instance) -> str:
    services = {service.name: service for service in topology.services}

    def value(found: re.Match[str]) -> str:
        own = {"port": str(instance.port), "host": instance.host, "name": instance.name}
        name, _, what = found[1].rpartition(".")
        if name in services and what in ("url", "host", "port"):
            service = services[name]
            front = service.balancer or service.instances[0]
            return _url(service) if what == "url" else str(getattr(front, what))
        return own.get(found[1], found[0])

    return _PLACEHOLDER.sub(value, text)


def _url(service: Service) -> str:
    """Return the base URL that callers use, with the scheme of its kind."""
    tcp = service.program is not None and service.program.tcp
    return service.url.replace("http", "tcp", 1) if tcp else service.url


def origin_of(form: OwnService) -> str:
    """Say in a few words how a service comes alive: for tables and pictures."""
    if form.url:
        return "runs already"
    way = form.app or " ".join(form.command) or form.image or form.build or ""
    return f"tcp: {way}" if form.kind is ServiceKind.TCP else way
