"""What was checked is what is loaded: a name is looked up once, and its addresses are connected to."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from lab.arrivals import Closed, Constant
from lab.errors import RemoteRefused
from lab.load.run import run
from lab.load.spec import LoadSpec
from tests.support.generating import generate
from tests.support.scripted_server import ScriptedServer

NAME = "pipeline.test"


def spec_for(server: ScriptedServer, host: str = NAME) -> LoadSpec:
    """A little load on the server, by a name of that host."""
    url = server.url.replace("127.0.0.1", host)
    return LoadSpec(url=url, load=Closed(2), duration_s=0.2, warmup_s=0.0)


def test_the_generator_looks_no_name_up_and_says_it_as_the_host(
    server: ScriptedServer, name_here: Callable[..., None]
) -> None:
    name_here(NAME)  # of which the generator's own process knows nothing
    result = run(spec_for(server))
    assert result.totals == {"http_200": len(server.requests)}
    port = server.url.rpartition(":")[2].rstrip("/")
    assert all(f"Host: {NAME}:{port}\r\n".encode() in request for request in server.requests)


def test_of_several_addresses_the_first_that_takes_a_connection_is_loaded(
    server: ScriptedServer, name_here: Callable[..., None]
) -> None:
    name_here(NAME, "::1", "127.0.0.1")  # the server listens on the second alone
    assert set(generate(spec_for(server)).recorder.totals) == {"http_200"}


def test_where_no_address_takes_a_connection_requests_are_refused(name_here: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    name_here(NAME, "::1", "127.0.0.1")
    spec = LoadSpec(url=f"http://{NAME}:{port}/", load=Constant(50), duration_s=0.2, warmup_s=0.0)
    assert generate(spec).recorder.totals == {"refused": 10}


def test_one_address_that_is_not_loopback_among_several_is_refused(name_here: Callable[..., None]) -> None:
    name_here(NAME, "127.0.0.1", "192.0.2.1")
    with pytest.raises(RemoteRefused, match=NAME):
        LoadSpec(url=f"http://{NAME}/", load=Closed(1)).check()
