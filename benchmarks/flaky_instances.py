"""Run four instances that misbehave at random, die and come back.

`python -m benchmarks.flaky_instances` prints their ports and serves until its stdin ends. Every request has a
Content-Length and comes whole, as a balancer sends it.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from services.balancer.settings import Address
from services.loops import run
from services.wire.connecting import reset_on_close

__all__ = ["flaky_instances"]

COUNT = 4
DEATH_EVERY_S = 0.5
DEAD_S = 0.1
_rng = random.Random(7)


@contextmanager
def flaky_instances() -> Iterator[tuple[Address, ...]]:
    """Run the instances in a process of their own, and give their addresses."""
    command = [sys.executable, "-m", "benchmarks.flaky_instances"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ports = [int(port) for port in process.stdout.readline().split()]
        yield tuple(Address(f"service1{n}", "127.0.0.1", port) for n, port in enumerate(ports))
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class _Instance:
    """One port, and the connections to it."""

    def __init__(self) -> None:
        self.port = 0
        self.transports: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def die(self) -> None:
        assert self._server is not None
        self._server.close()
        for transport in list(self.transports):
            _reset(transport)


class _Connection(asyncio.Protocol):
    def __init__(self, instance: _Instance) -> None:
        self._instance = instance
        self._rest = b""
        self._silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._instance.transports.add(self._transport)

    def connection_lost(self, _: Exception | None) -> None:
        self._instance.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head, end, body = self._rest.partition(b"\r\n\r\n")
        if not end:
            return
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        if len(body) >= length:
            self._rest = body[length:]
            self._answer(healthy=head.startswith(b"GET /health"))

    def _answer(self, *, healthy: bool) -> None:
        draw = 1.0 if healthy else _rng.random()
        ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
        if self._silent or draw < 0.0003:
            self._silent = True
        elif draw < 0.014:
            _reset(self._transport)
        elif draw < 0.018:
            self._end(ok + b"\r\no")
        elif draw < 0.024:
            self._end(b"what?\r\n\r\n")
        elif draw < 0.06:
            self._end(ok + b"Connection: close\r\n\r\nok")
        elif draw < 0.07:
            self._transport.write(b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno")
        else:
            self._transport.write(ok + b"\r\nok")

    def _end(self, data: bytes) -> None:
        self._transport.write(data)
        self._transport.close()


def _reset(transport: asyncio.Transport) -> None:
    reset_on_close(transport)
    transport.abort()


async def _serve() -> None:
    instances = [_Instance() for _ in range(COUNT)]
    for instance in instances:
        await instance.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: ended.set() if not os.read(0, 4096) else None)
    print(*(instance.port for instance in instances), flush=True)
    dying = asyncio.create_task(_die_in_turn(instances))
    await ended.wait()
    dying.cancel()


async def _die_in_turn(instances: list[_Instance]) -> None:
    while True:
        await asyncio.sleep(DEATH_EVERY_S)
        victim = _rng.choice(instances)
        victim.die()
        await asyncio.sleep(DEAD_S)
        await victim.start()


if __name__ == "__main__":
    run(_serve())
