"""The placement `in-process`: every server of a topology in one background thread of this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from email.utils import formatdate

import psutil

from lab.errors import LabError, NotSupported, StartFailed
from lab.placement.background import GC_TUNING, BackgroundLoop, ThreadClock
from lab.placement.logs import LogRing, RingHandler, current_ring
from lab.placement.ports import listen, listen_all
from lab.placement.protocol import Freezable
from lab.placement.running import Running, Usage
from lab.topology import Topology
from services.command import Server

__all__ = ["InProcess"]

START_S = 15.0
"""How long all servers together may take to start."""
GRACE_S = 1.0
"""How long requests in flight may take to finish on leaving the block, all services together."""
RESTART_GRACE_S = 10.0
"""How long requests in flight may take to finish when a single server is stopped in good order."""
ACT_S = 15.0
"""How long killing, freezing or thawing one server may take: a loop with much to do comes to it late."""
STOP_S = 2.0
"""How long stopping may take before the thread is ended all the same."""
END_S = 1.0
"""How long the thread may take to end."""


class InProcess(Running):
    """A topology whose servers share one thread and its event loop."""

    def __init__(self, topology: Topology, *, balancers: bool = True, cores: Collection[int] = ()) -> None:
        super().__init__(topology, balancers=balancers, cores=cores)
        self._resources = ExitStack()
        self._servers: dict[str, Server] = {}
        self._rings: dict[str, LogRing] = {}
        self._headers: list[tuple[bytes, bytes]] = []

    def alive(self, name: str) -> bool:
        return name in self._servers

    def incarnations(self) -> dict[str, Server]:
        return dict(self._servers)

    def kill(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            server = self._servers.pop(name)
            self._rings[name].write("killed")
            self._loop.run(_kill(server), ACT_S)

    def freeze(self, name: str) -> None:
        with self._changing:
            self._loop.run(_call(self._freezable(name).freeze), ACT_S)

    def thaw(self, name: str) -> None:
        with self._changing:
            self._loop.run(_call(self._freezable(name).thaw), ACT_S)

    def logs_since(self, name: str, position: int = 0) -> tuple[list[str], int]:
        self._require_known(name)
        ring = self._rings.get(name)
        return ring.since(position) if ring else ([], 0)

    def cpu_seconds(self) -> Usage:
        self._require_up()
        return Usage(servers_s=self._clock.seconds(), balancers_s=None)

    def rss_mb(self) -> float:
        self._require_up()
        return max(0.0, _rss_mb() - self._rss_before_mb)

    def balancers_rss_mb(self) -> None:
        self._require_up()

    def _start_one(self, name: str) -> None:
        _, server = self._topology.server(name)
        self._rings.setdefault(name, LogRing())
        self._loop.run(self._start(name, listen(name, server.host, server.port)), START_S)

    def _stop_one(self, name: str) -> None:
        self._loop.run(self._stop(name, RESTART_GRACE_S), RESTART_GRACE_S + STOP_S)

    def _open(self) -> None:
        self._rss_before_mb = _rss_mb()
        self._rings = {name: LogRing() for name, _, _ in self._addresses()}
        with ExitStack() as stack:
            sockets = listen_all(self._addresses())
            for sock in sockets.values():
                # A server closes its own socket; this is for a server that never came to own it.
                stack.callback(sock.close)
            stack.enter_context(RingHandler.shared)
            self._clock = ThreadClock()
            self._loop = BackgroundLoop(f"lab {self._topology.name}")
            self._loop.start()
            stack.callback(self._loop.close, END_S)
            stack.callback(self._stop_all_in_time)
            self._start_all_in_time(sockets)
            stack.enter_context(GC_TUNING)
            self._resources = stack.pop_all()

    def _close(self) -> None:
        self._resources.close()

    def _start_all_in_time(self, sockets: dict[str, socket.socket]) -> None:
        try:
            self._loop.run(self._start_all(sockets), START_S)
        except TimeoutError:
            late = [name for name in sockets if name not in self._servers]
            raise StartFailed(
                f"{', '.join(late)} did not start within {START_S:g} s: see what the application waits for"
            ) from None

    def _stop_all_in_time(self) -> None:
        # A blocked loop stops nothing; ending its thread then raises.
        with suppress(TimeoutError):
            self._loop.run(self._stop_all(), STOP_S)

    async def _start_all(self, sockets: dict[str, socket.socket]) -> None:
        self._ticker = asyncio.ensure_future(self._keep_date())
        starting = [asyncio.ensure_future(self._start(name, sock)) for name, sock in sockets.items()]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            for task in starting:
                task.cancel()
            await asyncio.wait(starting)
            raise

    async def _start(self, name: str, sock: socket.socket) -> None:
        """Build and start one server, in a context of its own that says which log its code writes to."""
        ring = self._rings[name]
        current_ring.set(ring)
        host, port = sock.getsockname()[:2]
        try:
            server = self._adapter.server(self._topology, name, self._headers)
            await _started(server, sock)
        except LabError:
            sock.close()
            raise
        except Exception as error:
            sock.close()
            raise StartFailed(_reason(name, error, ring)) from error
        self._servers[name] = server
        ring.write(f"listening on {host}:{port}")

    def _freezable(self, name: str) -> Freezable:
        self._require_alive(name)
        server = self._servers[name]
        if not isinstance(server, Freezable):
            raise NotSupported(
                f"{name} is a balancer and shares a thread: place the topology in processes to freeze it"
            )
        return server

    async def _stop_all(self) -> None:
        """Stop service by service from the entry on, so that a request in flight finds its next hops."""
        loop = asyncio.get_running_loop()
        end = loop.time() + GRACE_S
        for service in self._topology.services:
            names = [service.balancer.name] if service.balancer else []
            for tier in (names, [instance.name for instance in service.instances]):
                up = [name for name in tier if name in self._servers]
                await asyncio.gather(*(self._stop(name, max(0.0, end - loop.time())) for name in up))
        self._ticker.cancel()

    async def _stop(self, name: str, grace_s: float) -> None:
        server = self._servers.pop(name)
        try:
            await server.stop(grace_s)
            self._rings[name].write("stopped")
        except Exception as error:  # the other servers have to be stopped all the same
            self._rings[name].write(f"did not stop as it should: {error!r}")
            server.abort()

    async def _keep_date(self) -> None:
        """Renew the Date header that all servers share, once a second."""
        while True:
            self._headers[:] = [(b"date", formatdate(usegmt=True).encode())]
            await asyncio.sleep(1)


async def _started(server: Server, sock: socket.socket) -> None:
    try:
        await server.start(sock)
    except BaseException:  # where another failed, too: only the server itself can release what it holds
        with suppress(Exception):
            await server.stop(0)
        raise


async def _call(function: Callable[[], None]) -> None:
    function()


async def _kill(server: Server) -> None:
    server.abort()
    await server.stop(0)


def _rss_mb() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def _reason(name: str, error: Exception, ring: LogRing) -> str:
    lines = [line.splitlines()[-1] for line in ring.since()[0][-2:]]
    last = f" (its log ends: {' | '.join(lines)})" if lines else ""
    return f"{name} did not start: {type(error).__name__}: {error}{last}"
