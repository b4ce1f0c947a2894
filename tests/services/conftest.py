"""A thread with servers for a whole test module, and a scripted next hop in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.serving import NextHop, ServerThread


@pytest.fixture(scope="module")
def servers() -> Iterator[ServerThread]:
    """A loop in a thread of its own, for the module's servers."""
    servers = ServerThread()
    yield servers
    servers.stop()


@pytest.fixture
def next_hop(servers: ServerThread) -> NextHop:
    """A scripted next hop, listening."""
    next_hop = NextHop()
    next_hop.port = servers.listen(next_hop.serve)
    return next_hop
