"""What is said of a protocol's bytes and of its coding."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import BadParameter
from lab.placement.ports import reserved_offset
from lab.protocol_costs import CountingProxy, coding_costs, wire_bytes
from lab.topology import Topology
from services.names import ProtocolName


@settings(max_examples=10)
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=5000), st.binary(max_size=5000)), max_size=5))
async def test_the_proxy_passes_and_counts_every_byte_each_way(exchanges: list[tuple[bytes, bytes]]) -> None:
    answers = iter([answer for _, answer in exchanges])
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read())
        writer.write(next(answers))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = CountingProxy("127.0.0.1", server.sockets[0].getsockname()[1])
    port = await proxy.start()
    for request, answer in exchanges:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        writer.write_eof()
        assert await reader.read() == answer
        writer.close()
    await proxy.stop()
    server.close()
    assert asked == [request for request, _ in exchanges]
    assert proxy.sent == sum(len(request) for request, _ in exchanges)
    assert proxy.received == sum(len(answer) for _, answer in exchanges)


def test_a_request_has_more_bytes_on_the_wire_than_in_its_text_and_fewer_than_twice_that_if_long() -> None:
    with reserved_offset(Topology.sequential()) as offset:
        measured = wire_bytes(list(ProtocolName), 20_000, duration_s=0.3, port_offset=offset)
    assert list(measured["protocol"]) == ["http", "grpc"]
    assert (measured["sent_bytes"] > 20_000).all()
    assert (measured["sent_bytes"] < 40_000).all()
    assert (measured["received_bytes"] > 0).all()


def test_every_form_is_coded_and_decoded_at_every_length() -> None:
    costs = coding_costs([10, 1000])
    assert len(costs) == 4
    assert (costs[["coding_us", "decoding_us"]] > 0).all(axis=None)
    assert (costs["message_bytes"] > costs["payload_bytes"]).all()


def test_what_is_no_length_is_refused() -> None:
    with pytest.raises(BadParameter, match="payload_bytes"):
        coding_costs(0)
