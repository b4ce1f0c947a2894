"""Endpoints, where the load goes: addresses and a port, and how to connect to them."""

from __future__ import annotations

import ssl
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.errors import BadParameter
from lab.imports import Extra, needing
from lab.load.addresses import race
from lab.load.http_connection import LoadConnection
from lab.load.requests import sends_close, split_url
from lab.load.spec import LoadSpec
from services.addresses import address_of
from services.wire.connecting import connect, connect_unix
from services.wire.deadlines import Deadlines

if TYPE_CHECKING:
    from lab.load.grpc_endpoint import GrpcEndpoint

__all__ = ["HttpEndpoint", "endpoint_of"]


@dataclass(slots=True)
class HttpEndpoint:
    """The far end of all connections of a run, by the addresses found when its name was checked."""

    addresses: tuple[str, ...]
    """At least one; each connection goes to the first that takes it. Of a unix socket its path."""
    port: int
    """0 for a unix socket."""
    tls: ssl.SSLContext | None
    connect_timeout_s: float
    reads_timing: bool
    sends_close: bool = False
    """Whether requests say `Connection: close`."""

    @classmethod
    def of(cls, spec: LoadSpec, addresses: Sequence[str]) -> HttpEndpoint:
        """Return the endpoint of the spec's URL. Raises BadParameter for a `ca_file` without certificates."""
        url = split_url(spec.url)
        tls = _tls(url.hostname or "", spec) if url.scheme == "https" else None
        port = 0 if url.scheme == "unix" else url.port or (443 if tls else 80)
        closes = sends_close(spec.headers)
        return cls(tuple(addresses), port, tls, spec.connect_timeout_s, spec.stages, closes)

    async def connect(self, deadlines: Deadlines) -> LoadConnection:
        """Open a connection, within one time-out for all addresses. Raises NotConnected, and nothing else.

        The address that takes one is the first to be tried from then on.
        """
        until = time.monotonic() + self.connect_timeout_s

        def connect_to(address: str) -> Coroutine[Any, Any, LoadConnection]:
            return self._open(address, until, deadlines)

        winner, connection = await race(self.addresses, connect_to, LoadConnection.abort)
        if winner != self.addresses[0]:
            self.addresses = (winner, *(each for each in self.addresses if each != winner))
        connection.sends_close = self.sends_close
        return connection

    async def _open(self, address: str, until: float, deadlines: Deadlines) -> LoadConnection:
        timeout_s = max(0.0, until - time.monotonic())
        peer = address_of(address, self.port) if self.port else address

        def connection() -> LoadConnection:
            return LoadConnection(peer, deadlines, self.reads_timing)

        if not self.port:
            return await connect_unix(connection, address, timeout_s=timeout_s)
        return await connect(connection, address, self.port, timeout_s=timeout_s, ssl=self.tls)


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


def _tls(server_name: str, spec: LoadSpec) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = server_name
    try:
        context.load_verify_locations(spec.ca_file) if spec.ca_file else context.load_default_certs()
    except OSError as error:  # which includes ssl's own
        raise BadParameter(f"ca_file {spec.ca_file} holds no certificates to trust: {error}") from error
    if spec.cert_file:
        _show(context, spec.cert_file, spec.key_file)
    return context


def _show(context: ssl.SSLContext, cert_file: str, key_file: str | None) -> None:
    """Have a context show the client's certificate. Raises BadParameter for files that are none."""

    def password() -> str:  # without it, OpenSSL would ask at the terminal
        raise BadParameter(f"the key in {key_file or cert_file} is protected by a password: decrypt it")

    try:
        context.load_cert_chain(cert_file, key_file, password)
    except OSError as error:
        files = cert_file if key_file is None else f"{cert_file} and {key_file}"
        raise BadParameter(f"{files} hold no certificate with its key (PEM): {error}") from error
