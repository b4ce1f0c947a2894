"""A balancer as a server: where it accepts connections, and how it starts, drains and stops."""

from __future__ import annotations

import asyncio
import socket
from functools import partial

from services.addresses import Address
from services.balancer.active_checks import ActiveChecks
from services.balancer.admin import Admin
from services.balancer.balancer import LoadBalancer
from services.balancer.downstream import Downstream
from services.balancer.instances import InstanceState
from services.balancer.settings import BalancerSettings
from services.balancer.tunnel import ClientConnection
from services.command import BACKLOG

__all__ = ["BalancerServer"]

LOOKED_AT = 64
"""How many connections are looked at for one that is idle."""
CLOSE_S = 0.5
"""How long cut connections may take to go."""


class BalancerServer:
    """One balancer, from `start` to `stop` or `abort`, all on the loop that `start` is awaited on."""

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self._connections: dict[ClientConnection, None] = {}
        """The clients' connections: of those that are idle, the longest looked at last comes first."""
        self._balancer: LoadBalancer | None = None
        self._checks: ActiveChecks | None = None
        self._listener: asyncio.Server | None = None

    @property
    def balancer(self) -> LoadBalancer:
        """The load balancer behind the server. Raises RuntimeError before `start`."""
        if self._balancer is None:
            raise RuntimeError(f"{self.settings.name} was not started")
        return self._balancer

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket, and own the socket from now on."""
        balancer = self._balancer = LoadBalancer(self.settings, self)
        checks = self._checks = ActiveChecks(balancer)
        await checks.start()
        admin = Admin(balancer, self.add_instance, self.remove_instance)
        self._listener = await balancer.loop.create_server(
            partial(Downstream, balancer, admin, self._connections), sock=sock, backlog=BACKLOG
        )

    async def stop(self, grace_s: float) -> None:
        """Drain: be unready, accept nothing more, let requests in flight end for `grace_s`, cut the rest.

        Being unready lasts `unready_s` of the settings, which `grace_s` does not include.
        """
        if self._balancer is None or self._listener is None:
            return
        self._balancer.draining = True
        if self.settings.unready_s and not self._balancer.closed:
            await asyncio.sleep(self.settings.unready_s)
        self._listener.close()
        for connection in list(self._connections):
            connection.drain()
        await self._until_closed(grace_s)
        self.abort()
        await self._until_closed(CLOSE_S)

    def abort(self) -> None:
        """Cut every connection, and stop listening, as a crash would."""
        if self._balancer is None or self._listener is None or self._checks is None:
            return
        self._listener.close()
        self._checks.close()
        for connection in list(self._connections):
            connection.reset()
        self._balancer.close()

    def stats(self) -> dict[str, object]:
        """Return the documented answer to GET /stats."""
        return self.balancer.stats()

    def add_instance(self, address: Address) -> InstanceState:
        """Add an instance, to which requests may go from now on. Raises DuplicateInstance."""
        instance = self.balancer.add(address)
        if self._checks is not None:
            self._checks.add(instance)
        return instance

    def remove_instance(self, name: str) -> None:
        """Remove an instance; requests in flight there end. Raises UnknownInstance."""
        instance = self.balancer.remove(name)
        if self._checks is not None:
            self._checks.remove(instance)

    def shed(self) -> bool:
        """Close a client's connection that is idle. Returns False if none is found soon."""
        for _ in range(min(len(self._connections), LOOKED_AT)):
            connection = next(iter(self._connections))
            del self._connections[connection]
            if connection.idle:
                connection.abort()
                return True
            self._connections[connection] = None  # last from now on, so that all have their turn
        return False

    def vacate(self, instance: InstanceState) -> None:
        """Have requests go elsewhere that wait for an instance which is down, where that does no harm."""
        for connection in list(self._connections):
            connection.vacate(instance)

    async def _until_closed(self, timeout_s: float) -> None:
        end = asyncio.get_running_loop().time() + timeout_s
        while self._connections and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
