"""A pipeline of gRPC services in the running loop, and raw calls on it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import grpc

from services.balancer.settings import Address, BalancerSettings
from services.documented import PATHS
from services.messages import TextRequest
from services.names import WorkKind
from services.rpc.balancer.server import GrpcBalancerServer
from services.rpc.channels import open_channel
from services.rpc.codec import encode
from services.rpc.methods import METHODS
from services.rpc.server import GrpcServer
from services.rpc.service import ServiceServer
from services.rpc.statuses import text_metadata
from services.settings import ServiceSettings
from services.work import Work

PROCESS = METHODS["/process"]
REPORT = METHODS["/report"]
EXAMPLE = encode(TextRequest(text="The cat, the CAT", request_id="r1"))
TEXT = Work(WorkKind.TEXT)


@dataclass(frozen=True)
class Ended:
    """How a call ended."""

    code: grpc.StatusCode
    details: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def bound() -> socket.socket:
    """A listening socket on a port that was free."""
    return socket.create_server(("127.0.0.1", 0))


def closed_port() -> int:
    """A port on which nobody listens."""
    with bound() as sock:
        return int(sock.getsockname()[1])


def service(number: int, next_port: int | None = None, **changes: object) -> ServiceSettings:
    """Service 1 to 4 with the text's own work alone, before the server on `next_port`."""
    settings = ServiceSettings(
        service=f"service{number}",
        path=PATHS[number - 1],
        port=0,
        next_url=f"http://127.0.0.1:{next_port}{PATHS[number]}" if next_port else None,
        next_service=f"service{number + 1}" if next_port else None,
        hops_left=4 - number,
        work=TEXT,
    )
    return replace(settings, **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(server: GrpcServer) -> AsyncIterator[int]:
    """The server on a port of its own, which is given."""
    sock = bound()
    port = int(sock.getsockname()[1])
    await server.start(sock)
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def pipeline(**changes: object) -> AsyncIterator[int]:
    """All four services; gives the port of the first."""
    async with AsyncExitStack() as stack:
        port = None
        for number in (4, 3, 2, 1):
            port = await stack.enter_async_context(serving(ServiceServer(service(number, port, **changes))))
        assert port is not None
        yield port


@asynccontextmanager
async def balancer(ports: Sequence[int], **changes: object) -> AsyncIterator[tuple[int, GrpcBalancerServer]]:
    """A balancer of service 1 before instances on these ports: its port, and itself."""
    instances = tuple(Address(f"service1{'abcdef'[n]}", "127.0.0.1", port) for n, port in enumerate(ports))
    given = {"check_interval_s": 0.0, "timeout_s": 10.0, **changes}
    server = GrpcBalancerServer(BalancerSettings(service="service1", port=0, instances=instances, **given))  # type: ignore[arg-type]
    async with serving(server) as port:
        yield port, server


@asynccontextmanager
async def answering(answer: Callable[[bytes, object], Awaitable[bytes]]) -> AsyncIterator[int]:
    """An instance that answers service 1's method in a way of its own; gives its port."""
    async with serving(GrpcServer({PROCESS: answer}, 1 << 20)) as port:
        yield port


async def call(port: int, request: bytes = EXAMPLE, method: str = PROCESS, **options: object) -> Ended:
    """One call on a channel of its own."""
    channel = open_channel(f"127.0.0.1:{port}")
    calling = channel.unary_unary(method)(request, **{"timeout": 20.0, **options})  # type: ignore[arg-type]
    try:
        body = await calling
        return Ended(grpc.StatusCode.OK, "", text_metadata(await calling.trailing_metadata()), body)
    except grpc.aio.AioRpcError as error:
        return Ended(error.code(), error.details() or "", text_metadata(error.trailing_metadata()))
    finally:
        await channel.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
