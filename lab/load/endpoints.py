"""Endpoints, where the load goes: addresses and a port, and how to connect to them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import BadParameter
from lab.imports import Extra, needing
from lab.load.requests import split_url
from lab.load.spec import LoadSpec
from services.addresses import address_of
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.errors import NotConnected

if TYPE_CHECKING:
    from lab.load.grpc_endpoint import GrpcEndpoint

__all__ = ["HttpEndpoint", "endpoint_of"]


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """The far end of all connections of a run, by the addresses found when its name was checked."""

    addresses: tuple[str, ...]
    """At least one; each connection goes to the first that takes it."""
    port: int
    tls: ssl.SSLContext | None
    connect_timeout_s: float
    collect_headers: bool

    @classmethod
    def of(cls, spec: LoadSpec, addresses: Sequence[str]) -> HttpEndpoint:
        """Return the endpoint of the spec's URL. Raises BadParameter for a `ca_file` without certificates."""
        url = split_url(spec.url)
        tls = _tls(url.hostname or "", spec.ca_file) if url.scheme == "https" else None
        port = url.port or (443 if tls else 80)
        return cls(tuple(addresses), port, tls, spec.connect_timeout_s, spec.stages)

    async def connect(self, deadlines: Deadlines) -> Connection:
        """Open a connection, within one time-out for all addresses. Raises NotConnected, and nothing else."""
        until = time.monotonic() + self.connect_timeout_s
        *others, last = self.addresses
        for address in others:
            with suppress(NotConnected):
                return await self._open(address, until, deadlines)
        return await self._open(last, until, deadlines)

    async def _open(self, address: str, until: float, deadlines: Deadlines) -> Connection:
        return await Connection.open(
            address,
            self.port,
            timeout_s=max(0.0, until - time.monotonic()),
            ssl=self.tls,
            collect_headers=self.collect_headers,
            deadlines=deadlines,
        )


def endpoint_of(spec: LoadSpec, addresses: Sequence[str]) -> HttpEndpoint | GrpcEndpoint:
    """Return the endpoint of the spec's URL, in the URL's protocol, at the addresses that its check found.

    Raises BadParameter for a URL that cannot be used, and ExtraMissing for gRPC where that is not installed.
    """
    url = split_url(spec.url)
    if url.scheme != "grpc":
        return HttpEndpoint.of(spec, addresses)
    with needing(Extra.GRPC, spec.url):
        from lab.load.grpc_endpoint import GrpcEndpoint
    if not url.port:
        raise BadParameter(f"{spec.url} names no port: gRPC has none of its own")
    targets = [address_of(address, url.port) for address in addresses]
    authority = address_of(url.hostname or "", url.port)
    return GrpcEndpoint(targets, authority, url.path, spec.connect_timeout_s, spec.stages)


class _NamedContext(ssl.SSLContext):
    """A context that asks for the certificate of one name, whatever address the server is reached at."""

    server_name: str

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: Any = None,  # noqa: ARG002 (the address)
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wrap a connection, as an event loop asks with an address for a name, under the one name."""
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def _tls(server_name: str, ca_file: str | None) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = server_name
    try:
        context.load_verify_locations(ca_file) if ca_file else context.load_default_certs()
    except OSError as error:  # which includes ssl's own
        raise BadParameter(f"ca_file {ca_file} holds no certificates to trust: {error}") from error
    return context
