"""Measure what a protocol costs: bytes a request on the wire, and CPU time to code and decode a message.

The bytes are counted by a proxy between client and server, for JSON over HTTP and for gRPC alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import timeit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import pandas as pd

from lab.arrivals import Constant
from lab.imports import Extra, needing
from lab.load import requests
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.placement import start
from lab.placement.background import BackgroundLoop
from lab.sweep.levels import read_levels
from lab.topology import Topology
from services.messages import TextRequest
from services.names import ProtocolName, WorkKind
from services.work import Work

__all__ = ["CountingProxy", "coding_costs", "lengths_of", "wire_bytes"]

_PIECE = 64 * 1024
CONNECT_S = 5.0


@dataclass(slots=True)
class CountingProxy:
    """A proxy before one server that counts the bytes that pass, each way, from `start` to `stop`.

    Counted is what TCP carries: heads, frames and all that opens a connection of HTTP, but not the headers of
    TCP and IP. Belongs to the running loop.
    """

    host: str
    port: int
    sent: int = 0
    """Bytes from clients to the server."""
    received: int = 0
    """Bytes from the server to clients."""
    _server: asyncio.Server | None = None

    async def start(self) -> int:
        """Begin to listen on the loopback, and return the port."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening. Open connections end with their peers."""
        if self._server is not None:
            self._server.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            opening = asyncio.open_connection(self.host, self.port)
            there, to_there = await asyncio.wait_for(opening, CONNECT_S)
            with contextlib.closing(to_there):
                await asyncio.gather(
                    self._pump(reader, to_there, upwards=True), self._pump(there, writer, upwards=False)
                )

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, upwards: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_PIECE):
                if upwards:
                    self.sent += len(data)
                else:
                    self.received += len(data)
                sink.write(data)
                await sink.drain()
            sink.write_eof()


def lengths_of(payload_bytes: int | Sequence[int]) -> list[int]:
    """Read one length or several, in bytes. Raises BadParameter for what is no length."""
    return [int(level) for level in read_levels("payload_bytes", payload_bytes)]


RATE = 50.0
WAIT_S = 5.0


def wire_bytes(
    protocols: Sequence[str],
    payload_bytes: int | Sequence[int],
    duration_s: float = 2.0,
    port_offset: int = 0,
) -> pd.DataFrame:
    """Count the bytes a request between the client and service 1 of the sequential topology, each way.

    A row for each protocol and length of text: protocol, payload_bytes, requests, sent_bytes and
    received_bytes, the last two a request, with its share of what opened the connections.
    """
    rows = [
        _measure(ProtocolName(protocol), length, duration_s, port_offset)
        for protocol in protocols
        for length in lengths_of(payload_bytes)
    ]
    return pd.DataFrame(rows)


def _measure(
    protocol: ProtocolName, length: int, duration_s: float, port_offset: int
) -> dict[str, str | int | float]:
    topology = Topology.sequential().with_work(Work(WorkKind.TEXT)).with_protocol(protocol)
    with start(topology.shifted(port_offset)) as running, _counted(running.entry_url) as (proxy, url):
        spec = LoadSpec(
            url=url,
            load=Constant(RATE),
            duration_s=duration_s,
            warmup_s=0.0,
            method="POST",
            body=PipelineBody(length),
        )
        requests = sum(run(spec).totals.values())
    return {
        "protocol": str(protocol),
        "payload_bytes": length,
        "requests": requests,
        "sent_bytes": proxy.sent / requests,
        "received_bytes": proxy.received / requests,
    }


@contextmanager
def _counted(url: str) -> Iterator[tuple[CountingProxy, str]]:
    """Start a counting proxy before the server of a URL. Yield it, and the URL that leads through it."""
    scheme, _, rest = url.partition("://")
    address, _, path = rest.partition("/")
    host, _, port = address.rpartition(":")
    proxy = CountingProxy(host, int(port))
    loop = BackgroundLoop("counting proxy")
    loop.start()
    try:
        here = loop.run(proxy.start(), WAIT_S)
        yield proxy, f"{scheme}://127.0.0.1:{here}/{path}"
        loop.run(proxy.stop(), WAIT_S)
    finally:
        loop.close(WAIT_S)


Codec: TypeAlias = tuple[Callable[[TextRequest], bytes], Callable[[bytes], TextRequest]]
"""A function that codes a message, and one that decodes it."""

FIRST = 10
REPEATS = 7
LEAST_S = 0.01
"""Seconds that one repeat lasts at least, so that the clock is fine enough."""


def coding_costs(payload_bytes: int | Sequence[int]) -> pd.DataFrame:
    """Time the coding and decoding of the pipeline's request by the functions that the services use.

    A row for each protocol and length of text: protocol, payload_bytes, message_bytes, coding_us and
    decoding_us: the best of several repeats, in µs of one core. Raises ExtraMissing without gRPC.
    """
    codecs = _codecs()
    text = requests.load_corpus()[0]
    rows = []
    for length in lengths_of(payload_bytes):
        message = TextRequest(text=requests.cut(text, length), request_id="r-0000000001")
        for protocol, (code, decode) in codecs.items():
            data = code(message)
            rows.append(
                {
                    "protocol": str(protocol),
                    "payload_bytes": length,
                    "message_bytes": len(data),
                    "coding_us": _cost_us(partial(code, message)),
                    "decoding_us": _cost_us(partial(decode, data)),
                }
            )
    return pd.DataFrame(rows)


def _code_json(message: TextRequest) -> bytes:
    return message.model_dump_json().encode()


def _codecs() -> dict[ProtocolName, Codec]:
    with needing(Extra.GRPC, "protobuf"):
        from services.rpc.codec import decode_text, encode
    return {
        ProtocolName.HTTP: (_code_json, TextRequest.model_validate_json),
        ProtocolName.GRPC: (encode, decode_text),
    }


def _cost_us(do: Callable[[], object]) -> float:
    timer = timeit.Timer(do)
    once_s = timer.timeit(FIRST) / FIRST
    number = max(1, round(LEAST_S / once_s))
    return min(timer.repeat(REPEATS, number)) / number * 1e6
