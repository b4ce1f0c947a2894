"""Topologies of small applications, on free ports, and the plainest of clients."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.topology import Instance, Service, Topology

Make = Callable[..., Topology]
Get = Callable[[str], str]


@pytest.fixture
def make_topology(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a topology of one service `name` for each `name="function of apps.py"`, each on a free port."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))

    def make(**apps: str) -> Topology:
        return Topology(
            "small",
            tuple(
                Service(name, f"/{name}", (Instance(name, port),), app=f"tests.support.apps:{app}")
                for (name, app), port in zip(apps.items(), free_ports(len(apps)), strict=True)
            ),
        )

    return make


@pytest.fixture
def get() -> Get:
    """The body of what a URL answers, over a connection of its own."""

    def get(url: str) -> str:
        address, _, path = url.removeprefix("http://").partition("/")
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", f"/{path}")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    return get


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports
