"""A topology that is alive: what can be asked of it and done to it, wherever its servers run.

From a topology's protocol to the way of doing things in it.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lab.errors import BadParameter, NotRunning, NotSupported, PlacementError
from lab.placement.cores import kept_on
from lab.placement.protocol import ProtocolAdapter
from lab.topology import Balancer, Instance, Topology
from services.names import ProtocolName

__all__ = ["Running", "Usage", "adapter_of"]


def adapter_of(topology: Topology) -> ProtocolAdapter:
    """That of its protocol; gRPC is imported only for those who speak it, and not installed for all.

    Raises NotSupported where it is not.
    """
    if topology.protocol is ProtocolName.GRPC:
        try:
            from lab.placement.protocol_grpc import GrpcAdapter
        except ModuleNotFoundError as error:
            raise NotSupported(
                f"gRPC needs {error.name}, which is not installed: pip install 'pipeline-lab[grpc]'"
            ) from None
        return GrpcAdapter()
    from lab.placement.protocol_http import HttpAdapter

    return HttpAdapter()


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time spent since the topology came up, in seconds; None where nobody can tell."""

    servers_s: float | None
    balancers_s: float | None
    """None where balancers share threads with the services and cannot be told apart: `servers_s` is both."""


class Running(ABC):
    """A topology that comes up on entering the block, `with` or `async with`, and is gone on leaving it.

    Leaving frees every port within three seconds, whatever state the requests are in. All methods may be
    called from any thread; they raise NotRunning outside the block.
    """

    def __init__(self, topology: Topology, *, balancers: bool = True, cores: Collection[int] = ()) -> None:
        """`balancers` says whether this runs them too; otherwise somebody else does.

        Servers stay on these `cores`, or run on any where none is named.
        """
        self._topology = topology
        self._speech = adapter_of(topology)
        self._balancers = balancers
        self._cores = cores
        self._up = False
        # Held while servers come and go, so that two callers cannot start or stop the same one at once.
        self._changing = threading.RLock()

    def __repr__(self) -> str:
        state = "up" if self._up else "not up"
        return f"<{type(self).__name__} {self._topology.name} at {self.entry_url}, {state}>"

    @property
    def topology(self) -> Topology:
        """What is running, with the instances added or removed since the start."""
        return self._topology

    @property
    def entry_url(self) -> str:
        """The full URL to post to."""
        return self._topology.entry_url

    def __enter__(self) -> Self:
        with self._changing:
            if self._up:
                raise PlacementError(
                    f"{self._topology.name} is up already: leave its block before entering it again"
                )
            try:
                with kept_on(self._cores):
                    self._open()
            except BaseException:
                self._close()
                raise
            self._up = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changing:
            self._up = False
            self._close()

    async def __aenter__(self) -> Self:
        entering = asyncio.ensure_future(asyncio.to_thread(self.__enter__))
        try:
            return await asyncio.shield(entering)
        except asyncio.CancelledError:
            # A thread cannot be stopped half-way: let it come up, then take it down.
            with suppress(Exception):
                await entering
                await asyncio.to_thread(self.__exit__, None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self.__exit__, kind, error, trace))

    def stats(self) -> dict[str, dict[str, Any]]:
        """What each balancer counted, by its name, in the documented shape of /stats.

        A balancer that was killed is left out. Raises PlacementError for one that is up and gives none.
        """
        self._require_up()
        balancers = [service.balancer for service in self._topology.services if service.balancer]
        return {
            balancer.name: self.ask(balancer, "GET", "/stats")[1]
            for balancer in balancers
            if self.alive(balancer.name)
        }

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of what a server answers to that request, whichever protocol it speaks.

        Raises PlacementError where it gives no such answer.
        """
        return self._speech.ask(server, method, path, content)

    @abstractmethod
    def alive(self, name: str) -> bool:
        """Whether the server of that name is up."""

    @abstractmethod
    def incarnations(self) -> Mapping[str, object]:
        """By the name of each server that is up, what is another once it has been restarted.

        Two such answers are equal where nothing came, went or restarted between them. Of what is remote they
        only tell what is up.
        """

    @abstractmethod
    def kill(self, name: str) -> None:
        """End one server as a crash would: connections reset, nothing finished, its port closed."""

    @abstractmethod
    def freeze(self, name: str) -> None:
        """Let one server hang: it accepts connections and never answers, until `thaw`."""

    @abstractmethod
    def thaw(self, name: str) -> None:
        """Let one that was frozen go on where it stopped."""

    def restart(self, name: str) -> None:
        """Start one server again on its port. One that is up is stopped first, and may finish what it has."""
        with self._changing:
            self._require_up()
            self._require_known(name)
            if self.alive(name):
                self._stop_one(name)
            with kept_on(self._cores):
                self._start_one(name)

    def add_instance(self, service: str) -> Instance:
        """One more instance of a service, in its balancer's choice when this returns.

        Raises BadParameter for a service that does not exist or has no balancer to tell of it.
        """
        with self._changing:
            self._require_up()
            before = self._topology
            balancer = self._balancer_of(service)
            self._topology = before.with_replicas(service, len(before.service(service).instances) + 1)
            instance = self._topology.service(service).instances[-1]
            try:
                with kept_on(self._cores):
                    self._start_one(instance.name)
                self._tell(
                    balancer,
                    "POST",
                    "",
                    {"name": instance.name, "port": instance.port, "host": instance.host},
                )
            except BaseException:
                if self.alive(instance.name):
                    self._stop_one(instance.name)
                self._topology = before
                raise
            return instance

    def remove_instance(self, name: str) -> None:
        """Take one instance away: its balancer sends it nothing more, then it finishes what it has and ends.

        Raises BadParameter for the last instance of a service, or one without a balancer.
        """
        with self._changing:
            self._require_up()
            self._require_known(name)
            balancer = self._balancer_of(self._topology.server(name)[0].name)
            try:
                after = self._topology.without_instance(name)
            except ValueError as error:
                raise BadParameter(str(error)) from None
            self._tell(balancer, "DELETE", f"/{name}")
            if self.alive(name):
                self._stop_one(name)
            self._topology = after

    @abstractmethod
    def logs_since(self, name: str, position: int = 0) -> tuple[list[str], int]:
        """The lines a server logged after `position`, as far as held, and the position to ask from next."""

    def logs(self, name: str) -> str:
        """The latest lines that a server logged, oldest first."""
        return "\n".join(self.logs_since(name)[0])

    @abstractmethod
    def cpu_seconds(self) -> Usage:
        """CPU time spent by the servers since they came up."""

    @abstractmethod
    def rss_mb(self) -> float | None:
        """Resident memory of the servers in 10⁶ bytes; where they share a process, what they added to it.

        None where nobody can tell.
        """

    @abstractmethod
    def balancers_rss_mb(self) -> float | None:
        """The balancers' part of it. None where they share a process with services, and of what is remote."""

    @abstractmethod
    def _start_one(self, name: str) -> None:
        """Start a server of the topology that is down; it answers when this returns."""

    @abstractmethod
    def _stop_one(self, name: str) -> None:
        """Stop a server that is up; what it has in flight may finish."""

    @abstractmethod
    def _open(self) -> None:
        """Bring everything up. `_close` follows, also when this fails half-way."""

    @abstractmethod
    def _close(self) -> None:
        """Take down whatever is up."""

    def _addresses(self) -> list[tuple[str, str, int]]:
        """Name, host and port of every server that this runs."""
        others = {service.balancer.name for service in self._topology.services if service.balancer}
        return [a for a in self._topology.addresses() if self._balancers or a[0] not in others]

    def _require_up(self) -> None:
        if not self._up:
            raise NotRunning(
                f"{self._topology.name} is not up: use it inside `with lab.start(…) as running:`"
            )

    def _require_known(self, name: str) -> None:
        names = [known for known, _ in self._topology.ports()]
        if name not in names:
            raise NotRunning(f"{self._topology.name} has no server {name!r}: there are {', '.join(names)}")

    def _require_alive(self, name: str) -> None:
        self._require_up()
        self._require_known(name)
        if not self.alive(name):
            raise NotRunning(f"{name} is down already: restart it first")

    def _balancer_of(self, service: str) -> Balancer:
        try:
            balancer = self._topology.service(service).balancer
        except KeyError as error:
            raise BadParameter(error.args[0]) from None
        if balancer is None:
            raise BadParameter(f"{service} has no balancer: the number of its instances cannot change")
        return balancer

    def _tell(
        self, balancer: Balancer, method: str, path: str, change: Mapping[str, Any] | None = None
    ) -> None:
        """Have a balancer change its instances. One that is down learns of it when it starts."""
        if self.alive(balancer.name):
            status, body = self.ask(balancer, method, f"/admin/instances{path}", change)
            if status not in (200, 201):
                raise PlacementError(f"{balancer.name} refused to change its instances: {status} {body!r}")
