"""Any HTTP service as something to load: somebody's own, by its URL, or an example that the lab starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from lab.arrivals import Closed
from lab.load.spec import LoadSpec, PipelineBody
from lab.placement import start
from lab.topology import Topology
from services.clients import ClientName
from services.work import Work

__all__ = ["Target", "open_target"]

EXAMPLE_WORK_MS = 10.0
"""Of each service of the example: its pipeline bears 100 requests a second."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is loaded, and what the lab has to start for it, if anything."""

    name: str
    spec: LoadSpec
    """What is sent; each measurement brings its own load, window and seed."""
    topology: Topology | None = None
    """What the lab starts whenever this is loaded; None is a service that is there already."""

    @contextmanager
    def up(self) -> Iterator[None]:
        """Keep it up meanwhile, and no longer. Raises what starting a topology raises."""
        if self.topology is None:
            yield
            return
        with start(self.topology):
            yield

    def __str__(self) -> str:
        return f"{self.name}: {self.spec.method} {self.spec.url}"

    def _repr_markdown_(self) -> str:
        return str(self)


def open_target(
    url: str = "",
    *,
    method: str = "GET",
    headers: Mapping[str, str | int] | None = None,
    body: str = "",
    remote: bool = False,
    processes: int = 1,
    port_offset: int = 0,
) -> Target:
    """The service at that URL; without one, a pipeline that the lab starts when it is loaded, on the
    documented ports. `processes` load generators share what is sent to it.

    Raises BadParameter for what is no URL, RemoteRefused for a host that is not loopback where `remote` does
    not say that it may be loaded.
    """
    if not url:
        return _example(processes, port_offset)
    spec = LoadSpec(
        url=url,
        load=_users(processes),
        method=method.upper(),
        headers=tuple((name, str(value)) for name, value in (headers or {}).items()),
        body=body.encode() or None,
        processes=processes,
        remote=remote,
    )
    spec.check()
    return Target("your service", spec)


def _users(processes: int) -> Closed:
    """A load that each generator has a part of, until a measurement brings its own."""
    return Closed(max(1, processes))


def _example(processes: int, port_offset: int) -> Target:
    topology = Topology.sequential().with_work(Work(mean_ms=EXAMPLE_WORK_MS)).with_client(ClientName.WIRE)
    topology = topology.shifted(port_offset)
    spec = LoadSpec(
        url=topology.entry_url,
        load=_users(processes),
        processes=processes,
        method="POST",
        body=PipelineBody(),
    )
    spec.check()
    return Target("an example that the lab starts", spec, topology)
