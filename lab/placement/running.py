"""The base of every placement: what can be asked of a running topology and done to it.

A placement says in `_open`, `_close`, `_start_one` and `_stop_one` how its servers come and go. What is
common stands here: the block, the lock under which servers change, instances added and removed, and the
questions to servers, which go through the ProtocolAdapter of the topology's protocol.
"""

from __future__ import annotations

import asyncio
import re
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from lab.errors import BadParameter, NotRunning, NotSupported, PlacementError
from lab.placement.cores import kept_on
from lab.placement.protocol import ProtocolAdapter
from lab.topology import Balancer, Instance, Topology
from services.command import raise_descriptor_limit
from services.extras import install_command
from services.names import ProtocolName

__all__ = ["Running", "Usage", "adapter_of"]


def adapter_of(topology: Topology) -> ProtocolAdapter:
    """Return the adapter for the topology's protocol. Imports gRPC only for gRPC topologies.

    Raises NotSupported where gRPC is asked for and not installed.
    """
    if topology.protocol is ProtocolName.GRPC:
        try:
            from lab.placement.protocol_grpc import GrpcAdapter
        except ModuleNotFoundError as error:
            raise NotSupported(
                f"gRPC needs {error.name}, which is not installed: {install_command('grpc')}"
            ) from None
        return GrpcAdapter()
    from lab.placement.protocol_http import HttpAdapter

    return HttpAdapter()


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time spent since the topology came up, in seconds; None where that cannot be told."""

    servers_s: float | None
    balancers_s: float | None
    """None where balancers share threads with services: `servers_s` is then the time of both."""


_SHORTAGE = re.compile(r'^balancer_shortages_total\{.*reason="([^"]+)".*\} (\d+)', re.MULTILINE)


def _shortages_in(metrics: str) -> dict[str, int]:
    """Return what the text of a balancer's metrics says that it ran out of, and how often."""
    return {words: int(number) for words, number in _SHORTAGE.findall(metrics) if int(number)}


class Running(ABC):
    """A topology that comes up on entering the block, `with` or `async with`, and is gone on leaving it.

    Leaving frees every port within three seconds, whatever state requests are in. All methods may be called
    from any thread; they raise NotRunning outside the block.
    """

    def __init__(self, topology: Topology, *, balancers: bool = True, cores: Collection[int] = ()) -> None:
        """Prepare to run `topology`, or only its instances. Servers stay on `cores`, if any are given."""
        self._topology = topology
        self._adapter = adapter_of(topology)
        self._balancers = balancers
        self._cores = cores
        self._up = False
        # Held while servers come and go, so that no two threads start or stop the same server at once.
        self._changing = threading.RLock()

    def __repr__(self) -> str:
        state = "up" if self._up else "not up"
        return f"<{type(self).__name__} {self._topology.name} at {self.entry_url}, {state}>"

    @property
    def topology(self) -> Topology:
        """The topology as it runs, with the instances added or removed since the start."""
        return self._topology

    @property
    def entry_url(self) -> str:
        """The full URL to post to, such as `http://127.0.0.1:8061/process`."""
        return self._topology.entry_url

    def __enter__(self) -> Self:
        with self._changing:
            if self._up:
                raise PlacementError(
                    f"{self._topology.name} is up already: leave its block before entering it again"
                )
            raise_descriptor_limit()  # of this process, and of all that it starts
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
            # A thread cannot be stopped half-way: let the topology come up, then take it down.
            with suppress(Exception):
                await entering
                await asyncio.to_thread(self.__exit__, None, None, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self.__exit__, kind, error, trace))

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return what each balancer counted, by its name, in the documented shape of /stats.

        A balancer that is down is left out. Raises PlacementError for a balancer that is up and does not
        answer.
        """
        self._require_up()
        return {balancer.name: self.ask(balancer, "GET", "/stats")[1] for balancer in self._balancers_up()}

    def shortages(self) -> dict[str, int]:
        """Return how often balancers themselves ran out of what, such as `out of descriptors`.

        Empty where none did, and for a balancer that does not say or is down.
        """
        self._require_up()
        found: Counter[str] = Counter()
        for balancer in self._balancers_up():
            with suppress(PlacementError):
                found.update(_shortages_in(self._adapter.read(balancer, "/metrics").decode()))
        return dict(found)

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        """Send a server a request, whichever its protocol. Return the status and the JSON of its answer.

        Raises PlacementError where the server gives no such answer.
        """
        return self._adapter.ask(server, method, path, content)

    @abstractmethod
    def alive(self, name: str) -> bool:
        """Return whether the server is up."""

    @abstractmethod
    def incarnations(self) -> Mapping[str, object]:
        """Return an identity for each server that is up, by name. It changes when the server restarts.

        Two results are equal where no server came, went or restarted in between. For a remote topology they
        only tell which servers are up.
        """

    @abstractmethod
    def kill(self, name: str) -> None:
        """End one server as a crash would: connections reset, nothing finished, its port closed."""

    @abstractmethod
    def freeze(self, name: str) -> None:
        """Make one server hang: it accepts connections and never answers, until `thaw`."""

    @abstractmethod
    def thaw(self, name: str) -> None:
        """Let a frozen server go on where it stopped."""

    def restart(self, name: str) -> None:
        """Start one server again on its port. If it is up, it first finishes its requests and stops."""
        with self._changing:
            self._require_up()
            self._require_known(name)
            self._require_started(name)
            if self.alive(name):
                self._stop_one(name)
            with kept_on(self._cores):
                self._start_one(name)

    def add_instance(self, service: str) -> Instance:
        """Start one more instance of a service, and have the service's balancer use it. Return the instance.

        Raises BadParameter for a service that does not exist or has no balancer.
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
        """Stop and forget one instance: its balancer sends it nothing more, and it finishes its requests.

        Raises BadParameter for the last instance of a service, or an instance without a balancer.
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
        """Return lines a server logged after `position`, as far as held, and the position to go on from."""

    def logs(self, name: str) -> str:
        """Return the latest lines that a server logged, oldest first."""
        return "\n".join(self.logs_since(name)[0])

    @abstractmethod
    def cpu_seconds(self) -> Usage:
        """Return the CPU time spent by the servers since the topology came up."""

    @abstractmethod
    def rss_mb(self) -> float | None:
        """Return the resident memory of the servers in 10⁶ bytes; in one process, what they added to it.

        None for a remote topology.
        """

    @abstractmethod
    def balancers_rss_mb(self) -> float | None:
        """Return the resident memory of the balancers in 10⁶ bytes.

        None where they share a process with services, and for a remote topology.
        """

    @abstractmethod
    def _start_one(self, name: str) -> None:
        """Start a server of the topology that is down, and wait until it answers."""

    @abstractmethod
    def _stop_one(self, name: str) -> None:
        """Stop a server that is up, letting its requests in flight finish."""

    @abstractmethod
    def _open(self) -> None:
        """Bring everything up. `_close` follows, also where this fails half-way."""

    @abstractmethod
    def _close(self) -> None:
        """Take down every server that is up."""

    def _addresses(self) -> list[tuple[str, str, int]]:
        """Return name, host and port of every server that this placement runs."""
        others = {service.balancer.name for service in self._topology.services if service.balancer}
        return [a for a in self._topology.started() if self._balancers or a[0] not in others]

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
        self._require_started(name)
        if not self.alive(name):
            raise NotRunning(f"{name} is down already: restart it first")

    def _require_started(self, name: str) -> None:
        if self._topology.server(name)[0].runs_already:
            raise NotSupported(
                f"{name} runs already, and was not started here: it is called and never touched"
            )

    def _balancers_up(self) -> list[Balancer]:
        balancers = [service.balancer for service in self._topology.services if service.balancer]
        return [balancer for balancer in balancers if self.alive(balancer.name)]

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
        """Have a balancer change its instances. A balancer that is down reads them when it starts."""
        if self.alive(balancer.name):
            status, body = self.ask(balancer, method, f"/admin/instances{path}", change)
            if status not in (200, 201):
                raise PlacementError(f"{balancer.name} refused to change its instances: {status} {body!r}")
