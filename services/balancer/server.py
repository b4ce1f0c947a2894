"""A balancer as a server: sockets in, and a beginning and an end."""

from __future__ import annotations

import asyncio
import socket

from services.addresses import Address
from services.balancer.active_checks import ActiveChecks
from services.balancer.admin import Admin
from services.balancer.balancer import LoadBalancer
from services.balancer.downstream import Downstream
from services.balancer.instances import InstanceState
from services.balancer.settings import BalancerSettings
from services.command import BACKLOG

__all__ = ["BalancerServer"]

CLOSE_S = 0.5
"""How long cut connections may take to go."""


class BalancerServer:
    """One balancer, from `start` to `stop` or `abort`, all on the loop that `start` is awaited on."""

    def __init__(self, settings: BalancerSettings) -> None:
        self.settings = settings
        self._connections: set[Downstream] = set()
        self._core: LoadBalancer | None = None
        self._checks: ActiveChecks | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, sock: socket.socket) -> None:
        """Accept connections on a bound socket, and own it from now on."""
        core = self._core = LoadBalancer(self.settings)
        checks = self._checks = ActiveChecks(core)
        await checks.start()
        admin = Admin(core, self.add_instance, self.remove_instance)
        self._listener = await core.loop.create_server(
            lambda: Downstream(core, admin, self._connections), sock=sock, backlog=BACKLOG
        )

    async def stop(self, grace_s: float) -> None:
        """Drain: be unready, accept nothing more, let requests in flight end for `grace_s`, cut the rest.

        Between the first and the second pass the `unready_s` of the settings, which are not of the grace.
        """
        if self._core is None or self._listener is None:
            return
        self._core.draining = True
        if self.settings.unready_s and not self._core.closed:
            await asyncio.sleep(self.settings.unready_s)
        self._listener.close()
        for connection in list(self._connections):
            connection.drain()
        await self._until_closed(grace_s)
        self.abort()
        await self._until_closed(CLOSE_S)

    def abort(self) -> None:
        """Cut every connection, and stop listening, as a crash would."""
        if self._core is None or self._listener is None or self._checks is None:
            return
        self._listener.close()
        self._checks.close()
        for connection in list(self._connections):
            connection.reset()
        self._core.close()

    def stats(self) -> dict[str, object]:
        """The documented answer to GET /stats."""
        return self._require_core().stats()

    def add_instance(self, address: Address) -> InstanceState:
        """From now on requests may go there. Raises DuplicateInstance."""
        instance = self._require_core().add(address)
        if self._checks is not None:
            self._checks.add(instance)
        return instance

    def remove_instance(self, name: str) -> None:
        """From now on no request goes there; those in flight end. Raises UnknownInstance."""
        instance = self._require_core().remove(name)
        if self._checks is not None:
            self._checks.remove(instance)

    def _require_core(self) -> LoadBalancer:
        if self._core is None:
            raise RuntimeError(f"{self.settings.name} was not started")
        return self._core

    async def _until_closed(self, timeout_s: float) -> None:
        end = asyncio.get_running_loop().time() + timeout_s
        while self._connections and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
