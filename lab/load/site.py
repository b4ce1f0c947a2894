"""Where the load goes: a host, a port, and how to connect to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import BadParameter
from lab.load.spec import LoadSpec
from lab.load.template import split_url
from services.rpc.addresses import address_of
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines

if TYPE_CHECKING:
    from lab.load.rpc import RpcSite

__all__ = ["Site", "site_of"]


@dataclass(frozen=True, slots=True)
class Site:
    """One end of all connections of a run."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_s: float
    collect_headers: bool

    @classmethod
    def of(cls, spec: LoadSpec) -> Site:
        """That of the spec's URL. Raises BadParameter for a file of certificates that holds none."""
        url = split_url(spec.url)
        tls = _tls(spec.ca_file) if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        return cls(url.hostname or "", port, tls, spec.connect_timeout_s, spec.stages)

    async def connect(self, deadlines: Deadlines) -> Connection:
        """A new connection. Raises NotConnected, and nothing else."""
        return await Connection.open(
            self.host,
            self.port,
            timeout_s=self.connect_timeout_s,
            ssl=self.tls,
            collect_headers=self.collect_headers,
            deadlines=deadlines,
        )


def site_of(spec: LoadSpec) -> Site | RpcSite:
    """That of the spec's URL, in the protocol that it names. Raises BadParameter for one of no use."""
    url = split_url(spec.url)
    if url.scheme != "grpc":
        return Site.of(spec)
    try:
        from lab.load.rpc import RpcSite
    except ModuleNotFoundError as error:
        raise BadParameter(
            f"{spec.url} needs {error.name}, which is not installed: pip install 'pipeline-lab[grpc]'"
        ) from None
    if not url.port:
        raise BadParameter(f"{spec.url} names no port: gRPC has none of its own")
    address = address_of(url.hostname or "", url.port)
    return RpcSite(address, url.path, spec.connect_timeout_s, spec.stages)


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # which includes ssl's own
        raise BadParameter(f"ca_file {ca_file} holds no certificates to trust: {error}") from error
