"""Services and balancers over gRPC in the running loop, and raw calls on them."""

from __future__ import annotations

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
    """The end of a call."""

    code: grpc.StatusCode
    details: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


def bound() -> socket.socket:
    """Return a listening socket on a free port."""
    return socket.create_server(("127.0.0.1", 0))


_HELD: list[socket.socket] = []


def closed_port() -> int:
    """Return a port on which no program listens, held until the tests end so that none comes to listen."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    _HELD.append(sock)
    return int(sock.getsockname()[1])


def service(number: int, next_port: int | None = None, **changes: object) -> ServiceSettings:
    """Return settings of service 1 to 4, with the text's own work only, before the server on `next_port`."""
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
    """Run the server on a port of its own, and give the port."""
    sock = bound()
    port = int(sock.getsockname()[1])
    await server.start(sock)
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def pipeline(**changes: object) -> AsyncIterator[int]:
    """Run all four services, and give the port of the first."""
    async with AsyncExitStack() as stack:
        port = None
        for number in (4, 3, 2, 1):
            port = await stack.enter_async_context(serving(ServiceServer(service(number, port, **changes))))
        assert port is not None
        yield port


@asynccontextmanager
async def balancer(ports: Sequence[int], **changes: object) -> AsyncIterator[tuple[int, GrpcBalancerServer]]:
    """Run a balancer of service 1 before instances on these ports; give its port, and itself."""
    instances = tuple(Address(f"service1{'abcdef'[n]}", "127.0.0.1", port) for n, port in enumerate(ports))
    given = {"check_interval_s": 0.0, "timeout_s": 30.0, **changes}
    server = GrpcBalancerServer(BalancerSettings(service="service1", port=0, instances=instances, **given))  # type: ignore[arg-type]
    async with serving(server) as port:
        yield port, server


@asynccontextmanager
async def answering(answer: Callable[[bytes, object], Awaitable[bytes]]) -> AsyncIterator[int]:
    """Run an instance that answers service 1's method in a way of its own, and give its port."""
    async with serving(GrpcServer({PROCESS: answer}, 1 << 20)) as port:
        yield port


async def call(port: int, request: bytes = EXAMPLE, method: str = PROCESS, **options: object) -> Ended:
    """Make one call on a channel of its own."""
    channel = open_channel(f"127.0.0.1:{port}")
    calling = channel.unary_unary(method)(request, **{"timeout": 40.0, **options})  # type: ignore[arg-type]
    try:
        body = await calling
        return Ended(grpc.StatusCode.OK, "", text_metadata(await calling.trailing_metadata()), body)
    except grpc.aio.AioRpcError as error:
        return Ended(error.code(), error.details() or "", text_metadata(error.trailing_metadata()))
    finally:
        await channel.close()
