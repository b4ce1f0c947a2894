"""Where the load goes: a host, a port, and how to connect to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from lab.errors import BadParameter
from lab.load.spec import LoadSpec
from lab.load.template import split_url
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines

__all__ = ["Site"]


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


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # which includes ssl's own
        raise BadParameter(f"ca_file {ca_file} holds no certificates to trust: {error}") from error
