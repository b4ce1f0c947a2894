"""Topologies that speak gRPC, and calls on them with the generated stub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc

import lab
from lab.topology import Topology
from services.rpc import pipeline_pb2 as pb
from services.rpc import pipeline_pb2_grpc as stubs
from services.rpc.channels import CHANNEL_OPTIONS
from tests.support.placing import WAIT_S, claimed


@contextmanager
def calling(running: lab.Running) -> Iterator[stubs.InputStub]:
    """Open one connection to the entry."""
    address = running.entry_url.split("/")[2]
    with grpc.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        yield stubs.InputStub(channel)


@contextmanager
def placed(topology: Topology, **options: Any) -> Iterator[tuple[lab.Running, stubs.InputStub]]:
    """Run a topology over gRPC, on claimed ports, with a connection to its entry."""
    with ExitStack() as stack:
        moved = stack.enter_context(claimed(topology.with_protocol(lab.ProtocolName.GRPC)))
        running = stack.enter_context(lab.start(moved, **options))
        yield running, stack.enter_context(calling(running))


def ask(stub: stubs.InputStub, text: str = "The cat, the CAT") -> pb.PipelineResponse:
    """Call the pipeline once."""
    return stub.Process(pb.TextRequest(text=text, request_id="r"), timeout=WAIT_S)
