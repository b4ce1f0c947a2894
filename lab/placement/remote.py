"""The placement `remote`: a topology that runs already, which is asked and never started, hurt or stopped."""

from __future__ import annotations

from typing import NoReturn

from lab.errors import NotRunning, NotSupported
from lab.placement.running import Running, Usage
from lab.topology import Instance, Topology

__all__ = ["Remote"]


class Remote(Running):
    """A topology that runs elsewhere. Entering the block raises NotRunning where the entry is not healthy."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(topology)

    def alive(self, name: str) -> bool:
        _, server = self._topology.server(name)
        return self._adapter.is_healthy(server.host, server.port)

    def incarnations(self) -> dict[str, bool]:
        return {name: True for name, _ in self._topology.ports() if self.alive(name)}

    def kill(self, name: str) -> None:
        self._refuse(name)

    def freeze(self, name: str) -> None:
        self._refuse(name)

    def thaw(self, name: str) -> None:
        self._refuse(name)

    def restart(self, name: str) -> None:
        self._refuse(name)

    def add_instance(self, service: str) -> Instance:
        self._refuse(service)

    def remove_instance(self, name: str) -> None:
        self._refuse(name)

    def logs_since(self, name: str, position: int = 0) -> tuple[list[str], int]:
        self._require_known(name)
        return [], position

    def cpu_seconds(self) -> Usage:
        self._require_up()
        return Usage(servers_s=None, balancers_s=None)

    def rss_mb(self) -> None:
        self._require_up()

    def balancers_rss_mb(self) -> None:
        self._require_up()

    def _start_one(self, name: str) -> None:
        self._refuse(name)

    def _stop_one(self, name: str) -> None:
        self._refuse(name)

    def _open(self) -> None:
        entry = self._topology.entry
        if not self._adapter.is_healthy(entry.host, entry.port):
            raise NotRunning(
                f"nothing healthy answers at {self.entry_url}: start it there, or give the URL of what runs"
            )

    def _close(self) -> None:
        """Leave the servers up."""

    def _refuse(self, name: str) -> NoReturn:
        raise NotSupported(f"{name} is remote, and a remote server is only measured: do that where it runs")
