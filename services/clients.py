"""The HTTP clients that a service calls the next hop with, by name. The only module that imports httpx.

A call is one POST, then one whole answer or one of three failures. No client keeps cookies, follows a
redirect, reads a proxy from the environment or repeats a request.

HopError
├── HopUnreachableError   no connection was made
├── HopTimeoutError       no whole answer came in time
└── HopBrokenError        the connection broke, or what came was not a whole HTTP answer
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeAlias

from services.environment import SettingsError
from services.extras import install_command
from services.limits import BODY_LIMIT_BYTES, answer_limit
from services.names import ClientName
from services.wire.client import WireClient
from services.wire.errors import FailureKind, NotConnected, WireError

if TYPE_CHECKING:
    import aiohttp
    import httpx

__all__ = [
    "Client",
    "HopAnswer",
    "HopBrokenError",
    "HopError",
    "HopTimeoutError",
    "HopUnreachableError",
    "Send",
    "TimedClient",
    "open_client",
    "require",
]


class HopError(Exception):
    """The next hop gave no whole answer."""


class HopUnreachableError(HopError):
    """No connection was made, so nothing was sent."""


class HopTimeoutError(HopError):
    """No whole answer came in time."""


class HopBrokenError(HopError):
    """The connection broke, or what came was not a whole HTTP answer."""


@dataclass(frozen=True, slots=True)
class HopAnswer:
    """A whole answer, whatever its status. Header names are in lower case, repeated ones joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client(Protocol):
    """An HTTP client of one event loop, with which a service calls the next hop."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> HopAnswer:
        """Send one POST and return its answer, whatever the status.

        `timeout_s` (seconds) covers all of it. Raises HopError.
        """


Send: TypeAlias = Callable[[str, bytes, Mapping[str, str]], Awaitable[HopAnswer]]


class TimedClient:
    """A client made of a function that sends and one time limit over all that the function does.

    The function should set no time-outs: each library means something else by them, and none the whole.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> HopAnswer:
        """Send one POST within the time limit; see `Client.post`."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._send(url, body, headers)
        except TimeoutError as error:
            raise HopTimeoutError(f"no answer within {timeout_s:.3g} s") from error


IDLE_S = 3.0
"""How long an idle connection is kept, in seconds: less than uvicorn's 5, so none is used as it closes."""
MAX_CONNECTIONS = 1024
"""The number of connections that one client may have open."""


def require(name: ClientName) -> None:
    """Import the packages of a client. Raises SettingsError, with the remedy, where one is not installed."""
    for package in _PACKAGES[name]:
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"SERVICE_CLIENT is '{name}', and the package {error.name} is not installed: "
                f"{install_command('clients')}"
            ) from error


def open_client(
    name: ClientName, answer_limit_bytes: int = answer_limit(BODY_LIMIT_BYTES)
) -> AbstractAsyncContextManager[Client]:
    """Return a context manager of a client that lasts as long as the block, within the running loop.

    Answers may have `answer_limit_bytes`, which only the client `wire` holds them to.
    """
    return _wire(answer_limit_bytes) if name is ClientName.WIRE else _OPENERS[name]()


@asynccontextmanager
async def _httpx() -> AsyncIterator[Client]:
    import httpx

    limits = httpx.Limits(
        max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS, keepalive_expiry=IDLE_S
    )
    transport = httpx.AsyncHTTPTransport(verify=_no_tls(), limits=limits, trust_env=False)
    async with _httpx_client(transport) as client:
        yield TimedClient(lambda url, body, headers: _httpx_post(client, url, body, headers))


@asynccontextmanager
async def _httpx_per_request() -> AsyncIterator[Client]:
    import httpx

    async def send(url: str, body: bytes, headers: Mapping[str, str]) -> HopAnswer:
        # Whatever the URL, each new client reads the trusted certificates: most of its cost, and intended.
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
            return await _httpx_post(client, url, body, headers)

    yield TimedClient(send)


@asynccontextmanager
async def _httpx_aiohttp() -> AsyncIterator[Client]:
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    # A session of our own: the one that the transport would make keeps cookies.
    async with _session() as session:
        transport = AiohttpTransport(verify=_no_tls(), trust_env=False, client=session)
        async with _httpx_client(transport) as client:

            async def send(url: str, body: bytes, headers: Mapping[str, str]) -> HopAnswer:
                try:
                    return await _httpx_post(client, url, body, headers)
                except aiohttp.ClientError as error:  # the transport lets some through
                    raise _aiohttp_failure(error) from error
                except HopError as error:  # and calls nearly every other a ConnectTimeout
                    said = error.__cause__.__cause__ if error.__cause__ else None
                    raise _aiohttp_failure(said) if isinstance(said, aiohttp.ClientError) else error from said

            yield TimedClient(send)


def _httpx_client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    import httpx

    cookies = CookieJar(policy=DefaultCookiePolicy(allowed_domains=()))
    return httpx.AsyncClient(transport=transport, cookies=cookies, timeout=None, trust_env=False)


async def _httpx_post(
    client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str]
) -> HopAnswer:
    import httpx

    try:
        response = await client.post(url, content=body, headers=headers)
    except httpx.ConnectError as error:
        raise HopUnreachableError(_said(error)) from error
    except httpx.RequestError as error:
        raise HopBrokenError(_said(error)) from error
    return HopAnswer(response.status_code, dict(response.headers), response.content)


@asynccontextmanager
async def _aiohttp() -> AsyncIterator[Client]:
    import aiohttp

    async with _session() as session:

        async def send(url: str, body: bytes, headers: Mapping[str, str]) -> HopAnswer:
            try:
                # aiohttp repeats a request whose kept connection was closed, but never a POST.
                async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                    return HopAnswer(
                        response.status, _joined(response.headers.items()), await response.read()
                    )
            except aiohttp.ClientError as error:
                raise _aiohttp_failure(error) from error

        yield TimedClient(send)


def _session() -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        trust_env=False,
    )


def _aiohttp_failure(error: BaseException) -> HopError:
    import aiohttp

    unreachable = isinstance(error, aiohttp.ClientConnectorError)
    return HopUnreachableError(_said(error)) if unreachable else HopBrokenError(_said(error))


class _Wire:
    def __init__(self, client: WireClient) -> None:
        self._client = client

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> HopAnswer:
        try:
            response = await self._client.post(url, body, headers, timeout_s)
        except WireError as error:
            if error.kind in (FailureKind.CONNECT_TIMEOUT, FailureKind.READ_TIMEOUT):
                raise HopTimeoutError(f"no answer within {timeout_s:.3g} s") from error
            if isinstance(error, NotConnected):
                raise HopUnreachableError(_said(error)) from error
            raise HopBrokenError(_said(error)) from error
        pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers)
        return HopAnswer(response.status, _joined(pairs), response.body)


@asynccontextmanager
async def _wire(answer_limit_bytes: int) -> AsyncIterator[Client]:
    async with WireClient(
        max_connections=MAX_CONNECTIONS, idle_timeout_s=IDLE_S, max_body_bytes=answer_limit_bytes
    ) as client:
        yield _Wire(client)


_OPENERS: Mapping[ClientName, Callable[[], AbstractAsyncContextManager[Client]]] = {
    ClientName.HTTPX: _httpx,
    ClientName.HTTPX_PER_REQUEST: _httpx_per_request,
    ClientName.HTTPX_AIOHTTP: _httpx_aiohttp,
    ClientName.AIOHTTP: _aiohttp,
}
_PACKAGES: Mapping[ClientName, tuple[str, ...]] = {
    ClientName.HTTPX: ("httpx", "httpcore"),
    ClientName.HTTPX_PER_REQUEST: ("httpx", "httpcore"),
    ClientName.HTTPX_AIOHTTP: ("httpx", "aiohttp", "httpx_aiohttp"),
    ClientName.AIOHTTP: ("aiohttp",),
    ClientName.WIRE: (),
}


def _no_tls() -> ssl.SSLContext:
    # The hops speak plain HTTP. A context without trusted certificates is free; reading them costs 20 ms.
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in pairs:
        key = name.lower()
        joined[key] = f"{joined[key]}, {value}" if key in joined else value
    return joined


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
