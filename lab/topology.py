"""A topology: the services of a pipeline, who calls whom, and where each of their servers listens.

Frozen data; methods that change something return a copy. Nothing here starts a server.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from urllib.parse import urlsplit

from lab.names import TopologyName
from lab.servers import PIPELINE, Balancer, Instance, OwnProgram, Service, instance_names
from services.balancer.tuning import Tuning
from services.documented import DOCUMENTED, PATHS, SPARE_PORT, balancer_name
from services.names import ClientName, PolicyName, ProtocolName, choice
from services.rpc.methods import METHODS, PATH_OF
from services.work import Work

__all__ = ["PIPELINE", "Balancer", "Instance", "OwnProgram", "Service", "Topology"]


@dataclass(frozen=True, slots=True)
class Topology:
    """Services in the order a request passes them. Each calls the next; the first is the entry.

    `sequential` and `parallel` build the documented ones; any other tuple of services is a topology too.
    """

    name: str
    services: tuple[Service, ...]
    spare_port: int = SPARE_PORT
    """Where an added instance may listen: this port and those above it."""
    protocol: ProtocolName = ProtocolName.HTTP

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocol", choice(ProtocolName, "protocol", self.protocol))
        taken: dict[tuple[str, int], str] = {}
        for name, host, port in self.addresses():
            if not 0 < port < 65536:
                raise ValueError(f"{name} would listen on port {port}, which does not exist (1 to 65535)")
            if (host, port) in taken:
                raise ValueError(f"{name} and {taken[host, port]} both want port {port}")
            taken[host, port] = name
        if self.protocol is ProtocolName.GRPC:
            for service in self.services:
                if service.path not in METHODS:
                    known = ", ".join(METHODS)
                    raise ValueError(
                        f"{service.name} answers {service.path}, and only {known} have methods in gRPC"
                    )
                beyond = service.balancer.tuning.beyond_grpc() if service.balancer else ()
                if beyond:
                    raise ValueError(
                        f"tuning cannot set {', '.join(beyond)} over grpc, whose balancer has no such "
                        "setting: leave it out, or take http"
                    )
        names = [name for name, _ in self.ports()]
        if len(set(names)) < len(names):
            raise ValueError(f"two servers share a name in {names}")

    @classmethod
    def sequential(cls) -> Topology:
        """One instance of each service, on the documented ports."""
        return cls(
            TopologyName.SEQUENTIAL,
            tuple(
                Service(service.name, service.path, (Instance(service.name, service.port),))
                for service in DOCUMENTED
            ),
        )

    @classmethod
    def parallel(cls, replicas: int = 4) -> Topology:
        """`replicas` instances of each service, each service behind its own round-robin balancer."""
        _check_replicas(replicas)
        services = tuple(
            Service(
                documented.name,
                documented.path,
                tuple(Instance(name, port) for name, port in documented.instances),
                Balancer(balancer_name(documented.name), documented.balancer_port),
            )
            for documented in DOCUMENTED
        )
        topology = cls(TopologyName.PARALLEL, services)
        for service in services:
            topology = topology.with_replicas(service.name, replicas)
        return topology

    @classmethod
    def named(cls, name: TopologyName, replicas: int = 4) -> Topology:
        """Make the documented topology of that name. `replicas` does not apply to the sequential one."""
        sequential = choice(TopologyName, "name", name) is TopologyName.SEQUENTIAL
        return cls.sequential() if sequential else cls.parallel(replicas)

    @classmethod
    def at(cls, url: str) -> Topology:
        """Make a topology of a server that runs already, from its URL in the form of `entry_url`.

        Its name is `host:port`, and its one service has one instance. Raises ValueError for any other URL.
        """
        parts = urlsplit(url)
        over_grpc = parts.scheme == ProtocolName.GRPC
        port = parts.port or (None if over_grpc else 80)  # gRPC has none of its own
        path = PATH_OF.get(parts.path) if over_grpc else parts.path
        if parts.scheme not in tuple(ProtocolName) or not (parts.hostname and port and path):
            examples = f"http://host:port/path, or grpc://host:port{METHODS[PATHS[0]]}"
            raise ValueError(f"{url!r} is no URL to post to: give {examples}")
        entry = Instance("entry", port, parts.hostname)
        return cls(parts.netloc, (Service("entry", path, (entry,)),), protocol=ProtocolName(parts.scheme))

    @property
    def entry(self) -> Instance | Balancer:
        """The server that a request meets first: the first service's balancer, or its only instance."""
        service = self.services[0]
        return service.balancer or service.instances[0]

    @property
    def entry_url(self) -> str:
        """The full URL to post to; over gRPC `grpc://host:port/` and the full name of the method to call."""
        entry = self.services[0]
        if self.protocol is ProtocolName.GRPC:
            return entry.url.replace("http", "grpc", 1) + METHODS[entry.path]
        return entry.url + entry.path

    @property
    def replicas(self) -> int:
        """The most instances that any service has."""
        return max(len(service.instances) for service in self.services)

    def service(self, name: str) -> Service:
        """Find the service of that name. Raises KeyError, naming those there are."""
        for service in self.services:
            if service.name == name:
                return service
        raise KeyError(f"no service {name!r} in {self.name}: there are {[s.name for s in self.services]}")

    def server(self, name: str) -> tuple[Service, Instance | Balancer]:
        """Find the instance or balancer of that name, and return its service with it.

        Raises KeyError, naming all servers.
        """
        for service in self.services:
            if service.balancer and service.balancer.name == name:
                return service, service.balancer
            for instance in service.instances:
                if instance.name == name:
                    return service, instance
        raise KeyError(f"no server {name!r} in {self.name}: there are {[n for n, _ in self.ports()]}")

    def addresses(self) -> Iterator[tuple[str, str, int]]:
        """Yield every server's name, host and port, instances before their balancer, in order of service."""
        for service in self.services:
            for instance in service.instances:
                yield instance.name, instance.host, instance.port
            if service.balancer:
                yield service.balancer.name, service.balancer.host, service.balancer.port

    def started(self) -> Iterator[tuple[str, str, int]]:
        """Yield what `addresses` yields, but for servers that run already."""
        already = {i.name for service in self.services if service.runs_already for i in service.instances}
        return (address for address in self.addresses() if address[0] not in already)

    def ports(self) -> Iterator[tuple[str, int]]:
        """Yield every server's name and port, in the order of `addresses`."""
        for name, _, port in self.addresses():
            yield name, port

    def called_by(self, service: Service) -> tuple[Service, ...]:
        """Return the services that `service` calls: those it names, or else the next one, if there is one."""
        if service.calls is not None:
            return tuple(map(self.service, service.calls))
        position = self.services.index(service)
        return self.services[position + 1 : position + 2]

    def beyond(self, service: Service) -> tuple[Service, ...]:
        """Return the services that a request passes after `service`, on its longest way."""
        ways = [(called, *self.beyond(called)) for called in self.called_by(service)]
        return max(ways, key=len, default=())

    def next_url(self, name: str) -> str | None:
        """Give the full URL that the service of that name posts to; None for the last service."""
        following = self.called_by(self.service(name))
        return following[0].url + following[0].path if following else None

    def next_instance(self, name: str) -> Instance:
        """Make one more instance of that service: with the next letter, on the lowest spare port."""
        return next(self._further_instances(self.service(name)))

    def with_replicas(self, name: str, replicas: int) -> Topology:
        """Return a copy with `replicas` instances of one service; added ones take spare ports.

        Raises TypeError or ValueError for anything but a whole number from 1, and where ports run out.
        """
        service = self.service(name)
        _check_replicas(replicas)
        more = islice(self._further_instances(service), max(0, replicas - len(service.instances)))
        return self._with_service(replace(service, instances=(*service.instances[:replicas], *more)))

    def _further_instances(self, service: Service) -> Iterator[Instance]:
        """Yield more instances of a service. Raises ValueError where ports run out."""
        used = {instance.name for instance in service.instances}
        taken = {port for _, port in self.ports()}
        names = (name for name in instance_names(service.name) if name not in used)
        for port in range(self.spare_port, 65536):
            if port not in taken:
                yield Instance(next(names), port, service.instances[0].host)
        raise ValueError(f"{service.name} wants more instances than there are ports: give fewer replicas")

    def without_instance(self, name: str) -> Topology:
        """Return a copy without that instance.

        Raises KeyError where there is no such server, ValueError for a balancer and for a service's last
        instance.
        """
        service, server = self.server(name)
        rest = tuple(instance for instance in service.instances if instance is not server)
        if len(rest) == len(service.instances):
            raise ValueError(f"{name} is a balancer, not an instance")
        return self._with_service(replace(service, instances=rest))

    def with_work(self, work: Work | Mapping[str, Work]) -> Topology:
        """Return a copy with `work` in every service, or with a mapping's work in the services it names."""
        return self._each(
            lambda s: replace(s, work=work if isinstance(work, Work) else work.get(s.name, s.work))
        )

    def with_client(self, client: ClientName) -> Topology:
        """Return a copy in which every service calls the next with `client`."""
        return self._each(lambda s: replace(s, client=client))

    def with_policy(self, policy: PolicyName, seed: int = 0) -> Topology:
        """Return a copy in which every balancer uses `policy`. Policies that draw lots draw from `seed`."""
        return self._each(
            lambda s: replace(
                s, balancer=replace(s.balancer, policy=policy, seed=seed) if s.balancer else None
            )
        )

    def with_tuning(
        self, tuning: Mapping[str, object] | str | None = None, /, **settings: object
    ) -> Topology:
        """Return a copy in which every balancer has these settings, and its own defaults in all others.

        `with_tuning(retry_ratio=0, retry_statuses=[502, 503])`, or a mapping, or text as in "retry_ratio=0".
        Raises ValueError for a setting that does not exist, that the topology itself owns or that does not
        fit, and where there is no balancer to tune.
        """
        read = Tuning.read({**Tuning.read(tuning), **settings})
        if read and not any(service.balancer for service in self.services):
            raise ValueError(f"{self.name} has no balancer, so there is nothing to tune: leave tuning out")
        return self._each(
            lambda s: replace(s, balancer=replace(s.balancer, tuning=read) if s.balancer else None)
        )

    @property
    def tuned(self) -> bool:
        """Whether any balancer has settings that differ from its defaults."""
        return any(service.balancer and service.balancer.tuning for service in self.services)

    def with_timeout(self, timeout_s: float) -> Topology:
        """Return a copy in which each hop may take `timeout_s` seconds."""
        return self._each(lambda s: replace(s, timeout_s=timeout_s))

    def with_faults(self, ledger: str = "") -> Topology:
        """Return a copy whose instances can be told to fail, and keep ledgers in that folder, if any."""
        return self._each(lambda s: replace(s, faults=True, ledger=ledger))

    def with_protocol(self, protocol: ProtocolName) -> Topology:
        """Return a copy whose clients and servers speak `protocol`."""
        return replace(self, protocol=protocol)

    def shifted(self, offset: int) -> Topology:
        """Return a copy in which every port, the spare ones too, is moved by `offset`.

        What runs already stays where it is.
        """
        moved = self._each(lambda s: s if s.runs_already else _shifted(s, offset))
        return replace(moved, spare_port=self.spare_port + offset)

    def moved(self, name: str, host: str) -> Topology:
        """Return a copy in which that instance is reached at another host."""
        return self._each(
            lambda s: replace(
                s, instances=tuple(replace(i, host=host) if i.name == name else i for i in s.instances)
            )
        )

    def _with_service(self, changed: Service) -> Topology:
        return self._each(lambda s: changed if s.name == changed.name else s)

    def _each(self, change: Callable[[Service], Service]) -> Topology:
        return replace(self, services=tuple(change(service) for service in self.services))


def _shifted(service: Service, offset: int) -> Service:
    balancer = service.balancer
    return replace(
        service,
        instances=tuple(replace(i, port=i.port + offset) for i in service.instances),
        balancer=replace(balancer, port=balancer.port + offset) if balancer else None,
    )


def _check_replicas(replicas: int) -> None:
    try:
        number = operator.index(replicas)
    except TypeError:
        raise TypeError(f"replicas is {replicas!r}: give a whole number, as in 4") from None
    if number < 1:
        raise ValueError(f"replicas is {replicas}: a service needs at least one instance")
