"""A topology behind external load balancers: each is a process, before the instances of another placement."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from signal import SIGCONT, SIGSTOP
from typing import Any

from lab.errors import NotRunning, NotSupported
from lab.names import BalancerName
from lab.placement.ports import listen, listen_all
from lab.placement.protocol_http import ask_balancer
from lab.placement.proxies import GRPC_PROXIES, NOT_OVER_GRPC, PROXIES, Profile, Proxy, ProxyProcess
from lab.placement.proxies.proxy import find
from lab.placement.running import Running, Usage
from lab.placement.server_settings import balancer_settings
from lab.topology import Balancer, Instance, Topology
from services.balancer.settings import BalancerSettings
from services.names import ProtocolName
from services.wire import SHORTAGES, FailureKind
from services.wire.connecting import SHORTAGE_OF

__all__ = ["ExternalBalancers"]

GRACE_S = 1.0
"""How long requests in flight may take to finish when the block is left."""
RESTART_GRACE_S = 10.0
"""How long they may take when a single balancer is stopped in good order."""


class ExternalBalancers(Running):
    """External load balancers before the instances of an inner placement, which runs everything else."""

    def __init__(
        self,
        topology: Topology,
        inner: Running,
        balancer: BalancerName,
        profile: Profile = Profile.MATCHED,
        *,
        cores: Collection[int] = (),
    ) -> None:
        super().__init__(topology, cores=cores)
        self._inner = inner
        self._proxy = _proxy(topology, balancer)
        settings = self._settings()
        for each in settings:
            self._proxy.require(each)
        if settings:
            find(self._proxy.program)
        self._profile = profile
        self._processes: dict[str, ProxyProcess] = {}
        self._cpu_s: dict[ProxyProcess, float] = {}
        """CPU seconds by process, as last seen; a process that has ended keeps its entry."""
        self._resources = ExitStack()

    def alive(self, name: str) -> bool:
        process = self._processes.get(name)
        return process.alive if process else self._inner.alive(name)

    def incarnations(self) -> dict[str, object]:
        balancers = {name: process for name, process in self._processes.items() if process.alive}
        return {**self._inner.incarnations(), **balancers}

    def kill(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            process = self._processes.get(name)
            if process is None:
                self._inner.kill(name)
            else:
                self._note_cpu()
                process.kill()

    def freeze(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            process = self._processes.get(name)
            self._inner.freeze(name) if process is None else process.send_signal(SIGSTOP)

    def thaw(self, name: str) -> None:
        with self._changing:
            self._require_alive(name)
            process = self._processes.get(name)
            self._inner.thaw(name) if process is None else process.send_signal(SIGCONT)

    def add_instance(self, service: str) -> Instance:  # noqa: ARG002 (none can be added)
        raise NotSupported(
            f"{self._proxy.name} learns of instances only when it starts: take the built-in balancer"
        )

    def remove_instance(self, name: str) -> None:  # noqa: ARG002
        raise NotSupported(
            f"{self._proxy.name} learns of instances only when it starts: take the built-in balancer"
        )

    def ask(
        self, server: Balancer | Instance, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> tuple[int, Any]:
        if isinstance(server, Balancer):
            return ask_balancer(server, method, path, content)  # over HTTP, whichever protocol it balances
        return self._inner.ask(server, method, path, content)

    def shortages(self) -> dict[str, int]:
        """Return how often balancers logged that they ran out of something."""
        self._require_up()
        lines = [line.lower() for process in self._processes.values() for line in process.log_since()[0]]
        found = Counter(words for line in lines for sign, words in _SIGNS.items() if sign in line)
        return dict(found)

    def logs_since(self, name: str, position: int = 0) -> tuple[list[str], int]:
        self._require_known(name)
        process = self._processes.get(name)
        return process.log_since(position) if process else self._inner.logs_since(name, position)

    def cpu_seconds(self) -> Usage:
        self._require_up()
        self._note_cpu()
        return Usage(servers_s=self._inner.cpu_seconds().servers_s, balancers_s=sum(self._cpu_s.values()))

    def rss_mb(self) -> float:
        self._require_up()
        return (self._inner.rss_mb() or 0.0) + self.balancers_rss_mb()

    def balancers_rss_mb(self) -> float:
        self._require_up()
        memory_mb = 0.0
        for process in self._processes.values():
            with suppress(NotRunning):
                memory_mb += process.rss_mb()
        return memory_mb

    def _start_one(self, name: str) -> None:
        if name not in self._processes:
            self._inner.restart(name)
            return
        _, server = self._topology.server(name)
        listen(name, server.host, server.port).close()
        self._launch(name)

    def _stop_one(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None:
            self._note_cpu()
            process.stop(RESTART_GRACE_S)

    def _open(self) -> None:
        names = [settings.name for settings in self._settings()]
        for sock in listen_all(a for a in self._topology.addresses() if a[0] in names).values():
            sock.close()  # each balancer binds its own; this only shows that the port is free
        self._cpu_s = {}
        with ExitStack() as stack:
            stack.enter_context(self._inner)
            stack.callback(self._end)
            self._on_all(names, self._launch)
            self._resources = stack.pop_all()

    def _close(self) -> None:
        self._resources.close()

    def _settings(self) -> list[BalancerSettings]:
        """Return the settings of every balancer of the topology."""
        services = self._topology.services
        return [balancer_settings(self._topology, service) for service in services if service.balancer]

    def _launch(self, name: str) -> None:
        service, _ = self._topology.server(name)
        process = ProxyProcess(self._proxy, balancer_settings(self._topology, service), self._profile)
        process.start()
        self._processes[name] = process

    def _end(self) -> None:
        """Stop all at once: a request in flight at one balancer is in flight at those behind it too."""
        self._on_all(list(self._processes), lambda name: self._processes[name].stop(GRACE_S))

    def _on_all(self, names: list[str], do: Callable[[str], None]) -> None:
        with ThreadPoolExecutor(max(1, len(names))) as pool:
            for done in [pool.submit(do, name) for name in names]:
                done.result()

    def _note_cpu(self) -> None:
        for process in self._processes.values():
            with suppress(NotRunning):
                self._cpu_s[process] = process.cpu_seconds()


_SIGNS = {
    **{os.strerror(number).lower(): SHORTAGES[kind] for number, kind in SHORTAGE_OF.items()},
    "worker_connections are not enough": SHORTAGES[FailureKind.NO_DESCRIPTOR],  # nginx
    "reached process fd limit": SHORTAGES[FailureKind.NO_DESCRIPTOR],  # HAProxy
    "no free ports": SHORTAGES[FailureKind.NO_LOCAL_PORT],  # HAProxy
}
"""What balancers log as they run out of something, in lower case, and what that is."""


def _proxy(topology: Topology, balancer: BalancerName) -> Proxy:
    """Return the balancer for the topology's protocol. Raises NotSupported, naming those there are."""
    if topology.protocol is ProtocolName.HTTP:
        return PROXIES[balancer]
    if balancer not in GRPC_PROXIES:
        raise NotSupported(
            f"{balancer} is set up for http only ({NOT_OVER_GRPC[balancer]}): for {topology.protocol} take "
            f"{', '.join(GRPC_PROXIES)}, or the built-in balancer"
        )
    return GRPC_PROXIES[balancer]
