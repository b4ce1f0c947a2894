"""An HTTP client for coroutines, over wire connections: one call, one whole answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from urllib.parse import urlsplit

from services.limits import BODY_LIMIT_BYTES, answer_limit
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.errors import BrokenAnswer, FailureKind, NotConnected, WireError
from services.wire.exchange import Exchange, Headers
from services.wire.pool import Pool
from services.wire.requests import Response, encode_request, header_value

__all__ = ["WireClient"]


class WireClient:
    """A client of plain `http://` over kept-alive connections, at most `max_connections` to each host.

    No redirects, cookies, proxies or repeats: a request is sent once, and its failure is raised. Used within
    one event loop, by `async with`.
    """

    def __init__(
        self,
        *,
        max_connections: int = 256,
        connect_timeout_s: float = 5.0,
        idle_timeout_s: float = 4.0,
        max_body_bytes: int = answer_limit(BODY_LIMIT_BYTES),
    ) -> None:
        self.max_connections = max_connections
        self.connect_timeout_s = connect_timeout_s
        self.idle_timeout_s = idle_timeout_s
        self.max_body_bytes = max_body_bytes
        self._hosts: dict[str, _Host] = {}
        self._deadlines: Deadlines | None = None

    async def __aenter__(self) -> WireClient:
        self._deadlines = Deadlines()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close every idle connection. Requests in flight go on to their end."""
        for host in self._hosts.values():
            host.pool.close()
        self._hosts.clear()

    async def get(
        self, url: str, headers: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> Response:
        """GET a URL; see `request`."""
        return await self.request("GET", url, None, headers, timeout_s)

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str] | None = None, timeout_s: float = 30.0
    ) -> Response:
        """POST a body; see `request`."""
        return await self.request("POST", url, body, headers, timeout_s)

    async def request(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Response:
        """Send one request and wait for its whole answer, whatever its status.

        `timeout_s` covers all of it, waiting for a free connection included. Raises NotConnected, NotSent,
        NoAnswer or BrokenAnswer, and ValueError for a URL or header that cannot be sent. Cancelling closes
        the connection.
        """
        if self._deadlines is None:
            raise RuntimeError("a WireClient is used inside `async with`")
        base, target = _split(url)
        host = self._hosts.get(base) or self._add_host(base)
        data = encode_request(method, target, host.header, _items(headers), body)
        deadline = time.monotonic() + timeout_s
        connection = await self._connection(host, deadline)
        answer = _Answer(connection, self.max_body_bytes)
        try:
            connection.send(answer, data, deadline=deadline, is_head=method == "HEAD")
            return await answer.future
        except asyncio.CancelledError:
            connection.abort()
            raise
        finally:
            host.pool.give_back(connection)
            host.permits.release()

    async def _connection(self, host: _Host, deadline: float) -> Connection:
        """Return a connection, and take one of the host's permits with it."""
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                await host.permits.acquire()
        except TimeoutError as error:
            detail = f"all {self.max_connections} connections were in use"
            raise NotConnected(FailureKind.CONNECT_TIMEOUT, host.header, detail) from error
        try:
            kept = host.pool.take()
            if kept is not None:
                return kept
            async with asyncio.timeout(deadline - time.monotonic()):
                return await host.pool.connect()
        except BaseException as error:
            host.permits.release()
            if isinstance(error, TimeoutError):
                raise NotConnected(FailureKind.CONNECT_TIMEOUT, host.header) from error
            raise

    def _add_host(self, base: str) -> _Host:
        parts = urlsplit(base)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{base!r} is no http:// URL")
        assert self._deadlines is not None
        pool = Pool(
            parts.hostname,
            parts.port or 80,
            self._deadlines,
            connect_timeout_s=self.connect_timeout_s,
            idle_timeout_s=self.idle_timeout_s,
            max_idle=self.max_connections,
        )
        host = self._hosts[base] = _Host(parts.netloc, pool, asyncio.Semaphore(self.max_connections))
        return host


class _Host:
    """The pool of one host and port, and a permit for each connection it may have."""

    __slots__ = ("header", "permits", "pool")

    def __init__(self, header: str, pool: Pool, permits: asyncio.Semaphore) -> None:
        self.header = header
        self.pool = pool
        self.permits = permits


class _Answer(Exchange):
    """The exchange that collects an answer for a future."""

    __slots__ = ("_body", "_connection", "_headers", "_room", "_status", "future")

    def __init__(self, connection: Connection, max_body_bytes: int) -> None:
        self.future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._room = max_body_bytes
        self._status = 0
        self._headers: Headers = []
        self._body: list[bytes] = []

    def on_head(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers
        coding = header_value(headers, b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            self._refuse(FailureKind.PROTOCOL_ERROR, "a transfer coding that was not asked for")

    def on_body(self, chunk: bytes) -> None:
        self._room -= len(chunk)
        if self._room >= 0:
            self._body.append(chunk)
        else:
            self._refuse(FailureKind.TOO_LARGE, "body is over the limit")

    def on_complete(self) -> None:
        if not self.future.done():
            self.future.set_result(Response(self._status, self._headers, b"".join(self._body)))

    def on_failure(self, error: WireError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def _refuse(self, kind: FailureKind, detail: str) -> None:
        self.on_failure(BrokenAnswer(kind, self._connection.peer, detail))
        self._connection.abort()


def _items(headers: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
    return headers.items() if headers else ()


def _split(url: str) -> tuple[str, str]:
    """Split `http://host:port/path?query` into `http://host:port` and `/path?query`."""
    slash = url.find("/", len("http://"))
    if slash < 0:
        return url, "/"
    return url[:slash], url[slash:].partition("#")[0]
