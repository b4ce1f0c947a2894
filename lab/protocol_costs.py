"""How many bytes a request is on the wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pandas as pd

from lab.arrivals import Constant
from lab.load.process import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.placement import start
from lab.placement.background import BackgroundLoop
from lab.protocols.lengths import lengths_of
from lab.protocols.relay import Relay
from lab.topology import Topology
from services.protocols import ProtocolName
from services.work import Work, WorkKind

__all__ = ["wire_bytes"]

RATE = 50.0
WAIT_S = 5.0


def wire_bytes(
    protocols: Sequence[str],
    payload_bytes: int | Sequence[int],
    duration_s: float = 2.0,
    port_offset: int = 0,
) -> pd.DataFrame:
    """Bytes a request between the client and service 1 of the sequential topology, in either direction.

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
    with start(topology.shifted(port_offset)) as running, _relayed(running.entry_url) as (relay, url):
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
        "sent_bytes": relay.sent / requests,
        "received_bytes": relay.received / requests,
    }


@contextmanager
def _relayed(url: str) -> Iterator[tuple[Relay, str]]:
    """A relay before the server of that URL, and the URL that leads through it."""
    scheme, _, rest = url.partition("://")
    address, _, path = rest.partition("/")
    host, _, port = address.rpartition(":")
    relay = Relay(host, int(port))
    loop = BackgroundLoop("byte relay")
    loop.start()
    try:
        here = loop.run(relay.start(), WAIT_S)
        yield relay, f"{scheme}://127.0.0.1:{here}/{path}"
        loop.run(relay.stop(), WAIT_S)
    finally:
        loop.close(WAIT_S)
