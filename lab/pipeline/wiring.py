"""Give every server of a pipeline its port, its command line and its environment.

A service finds those that it calls in its environment (`SEARCH_URL`: the balancer's where there is one), and
itself in `PORT` and `HOST`. Of what stands in braces only `{port}`, `{host}`, `{name}`, `{service.url}`,
`{service.host}` and `{service.port}` are filled in; other braces stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from lab.errors import BadParameter
from lab.pipeline.form import OwnService, Pipeline, ServiceKind, variable_stem
from services.addresses import address_of

__all__ = [
    "FIRST_PORT",
    "Listener",
    "WiredService",
    "command_of",
    "environment_of",
    "instance_name",
    "origin_of",
    "wire",
]

FIRST_PORT = 8201
"""The first port that servers of one's own take: above the documented ones."""
LOOPBACK = "127.0.0.1"
_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9._-]+)\}")


@dataclass(frozen=True, slots=True)
class Listener:
    """A server's name and where it listens."""

    name: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://{address_of(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class WiredService:
    """A service with the places of its servers. One that runs already has one instance, at its URL."""

    name: str
    form: OwnService
    instances: tuple[Listener, ...]
    balancer: Listener | None

    @property
    def front(self) -> Listener:
        """What callers reach: the balancer where there is one, else the only instance."""
        return self.balancer or self.instances[0]

    @property
    def url(self) -> str:
        """The base URL that callers use, with the scheme of its kind."""
        return self.front.url.replace("http", str(self.form.kind), 1)


def wire(pipeline: Pipeline, first_port: int = FIRST_PORT) -> dict[str, WiredService]:
    """Place every server, by service, in the file's order: a balancer, then its instances.

    Ports count up from `first_port` and leave out those that services insist on. Raises BadParameter where
    they do not suffice.
    """
    fixed = {form.port for form in pipeline.services.values() if form.port}
    free = (port for port in range(first_port, 65536) if port not in fixed)
    try:
        return {name: _placed(name, form, free) for name, form in pipeline.services.items()}
    except StopIteration:
        raise BadParameter(
            f"the servers of {pipeline.name} need more ports than there are from {first_port} to 65535"
        ) from None


def _placed(name: str, form: OwnService, free: Iterator[int]) -> WiredService:
    if form.url:
        parts = urlsplit(form.url)
        return WiredService(name, form, (Listener(name, parts.hostname or "", parts.port or 80),), None)
    balancer = Listener(f"{name}-loadbalancer", LOOPBACK, next(free)) if form.is_balanced else None
    names = [name] if balancer is None else [instance_name(name, at) for at in range(form.replicas)]
    instances = [Listener(each, LOOPBACK, form.port or next(free)) for each in names]
    return WiredService(name, form, tuple(instances), balancer)


def instance_name(service: str, at: int) -> str:
    """Return the name of a service's instance, counted from 0: `search-a`, or `service1a` after a digit."""
    letters = ""
    at += 1
    while at:
        at, letter = divmod(at - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return f"{service}{letters}" if service[-1].isdigit() else f"{service}-{letters}"


def environment_of(wired: Mapping[str, WiredService], service: str, instance: Listener) -> dict[str, str]:
    """Return the variables that an instance gets, besides those that the lab itself was started with."""
    form = wired[service].form
    found = {"PORT": str(instance.port), "HOST": instance.host}
    found |= {f"{variable_stem(called)}_URL": wired[called].url for called in form.called}
    return found | {name: _filled(text, wired, instance) for name, text in form.env.items()}


def command_of(wired: Mapping[str, WiredService], service: str, instance: Listener) -> tuple[str, ...]:
    """Return the words of the command that starts an instance, with its placeholders filled in."""
    return tuple(_filled(word, wired, instance) for word in wired[service].form.command)


def _filled(text: str, wired: Mapping[str, WiredService], instance: Listener) -> str:
    def value(found: re.Match[str]) -> str:
        own = {"port": str(instance.port), "host": instance.host, "name": instance.name}
        service, _, what = found[1].rpartition(".")
        if service in wired and what in ("url", "host", "port"):
            there = wired[service]
            return there.url if what == "url" else str(getattr(there.front, what))
        return own.get(found[1], found[0])

    return _PLACEHOLDER.sub(value, text)


def origin_of(form: OwnService) -> str:
    """Say in a few words how a service comes alive: for tables and pictures."""
    if form.url:
        return "runs already"
    way = form.app or " ".join(form.command) or form.image or form.build or ""
    return f"tcp: {way}" if form.kind is ServiceKind.TCP else way
