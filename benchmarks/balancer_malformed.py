"""Send a hundred thousand mutated requests, while well-behaved clients must get their own answers."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import cast

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpRequestParser

from benchmarks.backends import free_ports
from benchmarks.balancers import builtin
from benchmarks.goals import GoalFigure, at_least, at_most, reference
from lab.placement.protocol_http import is_healthy
from services.balancer.settings import Address, BalancerSettings
from services.loops import run
from services.wire.connecting import reset_on_close

__all__ = ["balancer_malformed", "mutated_requests", "send"]

REQUESTS = 100_000
ATTACKERS = 24
BEHAVED = 4
HANG_S = 10.0
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ (?:/|http://)")
"""A request line with a method that HTTP allows; llhttp knows a fixed set of methods."""
_SEEDS = (
    b"POST /process HTTP/1.1\r\nHost: x\r\nX-Tag: evil\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /process HTTP/1.1\r\nHost: x\r\nX-Tag: evil\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n0\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: x\r\nX-Tag: evil\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: x\r\nX-Tag: evil\r\n\r\n",
    b"GET http://x/b HTTP/1.1\r\nHost: x\r\nX-Tag: evil\r\nConnection: close, X-A\r\nX-A: 1\r\n\r\n",
    b"POST /process HTTP/1.0\r\nX-Tag: evil\r\nContent-Length: 2\r\n\r\nok",
)
_SPICES = (
    *(b"\r", b"\n", b"\r\n", b"\r\n ", b"\0", b"\t", b" ", b":", b",", b"chunked", b"\x0b", b"\xff", b"+"),
    b"\r\nContent-Length: 6",
    b"\r\nTransfer-Encoding: chunked",
    b"\r\nTransfer-Encoding: gzip, chunked",
    b"\r\nHost: y",
    b"GET /smuggled HTTP/1.1\r\nHost: x\r\nX-Tag: smuggled\r\n\r\n",
)


def balancer_malformed() -> Iterator[GoalFigure]:
    """Send 100,000 mutated requests over sockets: count crashes, hangs, and bytes that end up elsewhere."""
    seen = run(_all())
    yield at_least("mutated requests sent", seen["sent"], REQUESTS)
    yield reference("of them answered with a refusal", seen["refused"])
    yield reference("of them passed on", seen["passed"])
    yield at_least("well-behaved requests beside them", seen["behaved"], 1000)
    yield at_most("well-behaved requests that got another answer than their own", seen["wrong"], 0)
    yield at_most("connections that hung", seen["hung"], 0)
    yield reference("passed on with a method of their own, which is well formed", seen["own method"])
    yield at_most("requests that came to an instance malformed", seen["malformed"], 0)
    yield at_most("the balancer is gone or ill", 1 - seen["healthy"], 0)


async def _all() -> Counter[str]:
    seen: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: _Echo(seen), "127.0.0.1", 0, backlog=1024) for _ in range(2)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    instances = tuple(Address(f"service1{n}", "127.0.0.1", port) for n, port in enumerate(ports))
    settings = BalancerSettings(
        "service1", free_ports(1)[0], instances, head_timeout_s=1.0, body_timeout_s=1.0, timeout_s=2.0
    )
    with builtin(settings):
        over = asyncio.Event()
        behaving = [
            asyncio.create_task(_behave(settings.port, f"own{n}", over, seen)) for n in range(BEHAVED)
        ]
        await asyncio.gather(*(_attack(settings.port, n, seen) for n in range(ATTACKERS)))
        over.set()
        await asyncio.gather(*behaving)
        seen["healthy"] = int(await asyncio.to_thread(is_healthy, "127.0.0.1", settings.port))
    for server in servers:
        server.close()
    return seen


async def _attack(port: int, number: int, seen: Counter[str]) -> None:
    rng = random.Random(number)
    for _ in range(-(-REQUESTS // ATTACKERS)):
        seen["sent"] += 1
        try:
            async with asyncio.timeout(HANG_S):
                await send(port, mutated_requests(rng), seen)
        except TimeoutError:
            seen["hung"] += 1


async def send(port: int, data: bytes, seen: Counter[str]) -> None:
    """Send bytes over a connection of their own, and read what comes back until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # A reset when it is closed leaves nothing behind that would use up the ports.
    reset_on_close(writer.transport)
    try:
        writer.write(data)
        writer.write_eof()
        with suppress(ConnectionError):
            answer = await reader.read()
            seen["refused"] += answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    finally:
        writer.transport.abort()


async def _behave(port: int, name: str, over: asyncio.Event, seen: Counter[str]) -> None:
    """Post over one connection, again and again, and compare each answer with what was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while not over.is_set():
        seen["behaved"] += 1
        tag = f"{name}-{seen['behaved']}".encode()
        head = b"POST /process HTTP/1.1\r\nHost: x\r\nX-Tag: %b\r\nContent-Length: %d\r\n\r\n" % (
            tag,
            len(tag),
        )
        writer.write(head + tag)
        try:
            async with asyncio.timeout(HANG_S):
                answer = await reader.readuntil(b"\r\n\r\n")
                length = int(answer.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
        except (TimeoutError, asyncio.IncompleteReadError, ValueError):
            seen["wrong"] += 1
            return
        seen["wrong"] += body != tag + b"|" + tag
        await asyncio.sleep(0.005)
    writer.close()


def mutated_requests(rng: random.Random) -> bytes:
    """Return two requests, one after the other, with one to four things wrong with them."""
    data = bytearray(rng.choice(_SEEDS) + rng.choice(_SEEDS))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at:at] = rng.choice(_SPICES)
            case 1:
                del data[at : at + rng.randint(1, 8)]
            case 2:
                data[at] = rng.randrange(256)
            case _:
                data[at:at] = data[at : at + rng.randint(1, 30)]
    return bytes(data)


class _Echo(asyncio.Protocol):
    """An instance that answers each request with its tag and its body, and counts what it cannot read."""

    def __init__(self, seen: Counter[str]) -> None:
        self._seen = seen
        self._parser = HttpRequestParser(self)
        self._tag, self._body, self._path = b"", b"", b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            own_method = isinstance(error, HttpParserInvalidMethodError) and _METHOD.match(data)
            self._seen["own method" if own_method else "malformed"] += 1
            self._transport.close()

    def on_message_begin(self) -> None:
        self._tag, self._body, self._path = b"", b"", b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-tag":
            self._tag = value

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._tag and not self._tag.startswith(b"own"):
            self._seen["passed"] += 1
        method = self._parser.get_method()
        content = b"" if self._path == b"/health" else self._tag + b"|" + self._body
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content)
        self._transport.write(head if method == b"HEAD" else head + content)
