"""A service: its instances, the balancer before them, and the program that runs as each of them."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from services.addresses import address_of
from services.balancer.tuning import Tuning
from services.names import ClientName, PolicyName, choice
from services.work import Work

__all__ = ["LOOPBACK", "PIPELINE", "Balancer", "Instance", "OwnProgram", "Service", "instance_names"]

LOOPBACK = "127.0.0.1"
PIPELINE = "services.pipeline:create_app"


@dataclass(frozen=True, slots=True)
class OwnProgram:
    """How each instance of a service comes alive, and how one knows that it has.

    Placeholders in braces stand in `command` and `environ`; lab.pipeline.wiring fills them in. Without a
    command the service runs already: it is called, never started or stopped.
    """

    command: tuple[str, ...] = ()
    folder: Path = Path()
    """Where it runs."""
    environ: tuple[tuple[str, str], ...] = ()
    """Environment variables of its own, besides those that the lab sets."""
    ready: str = ""
    """A path that answers 2xx once the instance is ready; without one, its port must accept connections."""
    ready_within_s: float = 60.0
    tcp: bool = False
    """Whether it speaks something else than HTTP: it is started and waited for, and not measured."""
    idempotent: tuple[str, ...] = ()
    """Paths whose requests may be sent again after a failure, besides those of safe methods."""

    @property
    def runs_already(self) -> bool:
        """Whether nothing is to be started."""
        return not self.command


@dataclass(frozen=True, slots=True)
class Instance:
    """One server of a service: `service1a` on port 8051."""

    name: str
    port: int
    host: str = LOOPBACK
    weight: int = 1

    @property
    def address(self) -> str:
        """`host:port`, as the environment writes it: an IPv6 host in brackets."""
        return address_of(self.host, self.port)

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://{self.address}"


@dataclass(frozen=True, slots=True)
class Balancer:
    """What stands before the instances of one service and chooses one for each request."""

    name: str
    port: int
    host: str = LOOPBACK
    policy: PolicyName = PolicyName.ROUND_ROBIN
    seed: int = 0
    """The seed of a policy that draws lots. A balancer's lots follow from the seed and its name."""
    tuning: Tuning = field(default_factory=Tuning)
    """What differs from the built-in balancer's own settings; a plain mapping does too."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "policy", choice(PolicyName, "policy", self.policy))
        object.__setattr__(self, "tuning", Tuning.read(self.tuning))

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://{address_of(self.host, self.port)}"


@dataclass(frozen=True, slots=True)
class Service:
    """One step of the pipeline: a route, the instances that answer it and what a request costs each of them.

    `app` names, as `module:function`, what builds the ASGI application of one instance from its
    `services.settings.ServiceSettings`; a `program` of one's own takes its place. `calls` names the services
    that it calls; None stands for the next one of the topology. `timeout_s` is how long each hop may take; a
    service that waits for several hops waits that many times as long. With `faults`, instances can be told to
    fail while they run, and each writes the id of every request that it begins to execute into a file of its
    name in the folder `ledger`.
    """

    name: str
    path: str
    instances: tuple[Instance, ...]
    balancer: Balancer | None = None
    work: Work = field(default_factory=Work)
    client: ClientName = ClientName.WIRE
    app: str = PIPELINE
    timeout_s: float = 30.0
    faults: bool = False
    ledger: str = ""
    program: OwnProgram | None = None
    calls: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "client", choice(ClientName, "client", self.client))
        if not self.instances:
            raise ValueError(f"{self.name} has no instance: a service needs at least one")
        if len(self.instances) > 1 and self.balancer is None:
            raise ValueError(
                f"{self.name} has {len(self.instances)} instances and no balancer to choose between them"
            )

    @property
    def url(self) -> str:
        """The base URL that callers use: the balancer's where there is one, else the only instance's."""
        return self.balancer.url if self.balancer else self.instances[0].url

    @property
    def runs_already(self) -> bool:
        """Whether its instances are neither started nor stopped."""
        return self.program is not None and self.program.runs_already

    @property
    def in_flight_limit(self) -> int:
        """How many requests at once the balancer gives each instance; 0 is any number.

        The policy `central_queue` gives an instance as many as it has slots, unless it is tuned otherwise.
        """
        if self.balancer is None:
            return 0
        queues = self.balancer.policy is PolicyName.CENTRAL_QUEUE
        return int(self.balancer.tuning.fields.get("in_flight_limit", self.work.slots if queues else 0))


def instance_names(service: str) -> Iterator[str]:
    """Yield the names of a service's instances, without end: `search-a`, or `service1a` after a digit."""
    stem = service if service[-1].isdigit() else f"{service}-"
    length = 1
    while True:
        for letters in product(string.ascii_lowercase, repeat=length):
            yield stem + "".join(letters)
        length += 1
