"""The small server that answers what a balancer passes on."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator

import pytest

from lab.placement.proxies.stats_server import StatsServer


def get(stats_server: StatsServer, path: str) -> tuple[int, object]:
    connection = http.client.HTTPConnection(stats_server.address, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.load(response)
    finally:
        connection.close()


def fail() -> dict[str, object]:
    raise OSError("it went away")


@pytest.fixture
def stats_server() -> Iterator[StatsServer]:
    stats_server = StatsServer({"/stats": lambda: {"instances": []}, "/broken": fail})
    yield stats_server
    stats_server.close()


def test_it_answers_what_it_knows_as_json(stats_server: StatsServer) -> None:
    assert get(stats_server, "/stats") == (200, {"instances": []})


def test_it_knows_nothing_else(stats_server: StatsServer) -> None:
    assert get(stats_server, "/process")[0] == 404


def test_an_answer_that_fails_is_a_bad_gateway_with_the_reason(stats_server: StatsServer) -> None:
    assert get(stats_server, "/broken") == (502, {"detail": "OSError: it went away"})


def test_a_silent_connection_keeps_no_other_waiting(stats_server: StatsServer) -> None:
    host, _, port = stats_server.address.partition(":")
    with socket.create_connection((host, int(port))):
        assert get(stats_server, "/stats")[0] == 200


def test_closing_frees_its_port_and_its_thread() -> None:
    before = threading.active_count()
    stats_server = StatsServer({})
    stats_server.close()
    assert threading.active_count() <= before + 1  # the connection that woke it may still have its own
    with pytest.raises(ConnectionRefusedError):
        get(stats_server, "/stats")
