"""Ports are looked for without getting in the way of others who do the same."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from lab.errors import PortInUse, StartFailed
from lab.placement import ports
from lab.placement.ports import free_offset, held, listen, reserved_offset
from lab.topology import Topology

TOPOLOGY = Topology.sequential()


@pytest.fixture
def in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """All who look, look at the same offsets first."""

    class InOrder:
        sample = staticmethod(lambda offsets, _: list(offsets))

    monkeypatch.setattr(ports, "_CHANCE", InOrder)


@pytest.mark.usefixtures("in_order")
def test_two_who_look_at_once_are_given_different_offsets() -> None:
    with reserved_offset(TOPOLOGY) as mine, reserved_offset(TOPOLOGY) as yours:
        assert mine != yours
        assert free_offset(TOPOLOGY) not in (mine, yours)


@pytest.mark.usefixtures("in_order")
def test_the_ports_of_a_reserved_offset_are_not_even_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    listen = ports.listen

    def listening(name: str, host: str, port: int) -> Any:
        tried.append(port)
        return listen(name, host, port)

    monkeypatch.setattr(ports, "listen", listening)
    with reserved_offset(TOPOLOGY) as mine:
        tried.clear()
        free_offset(TOPOLOGY)
    assert tried
    assert not {port for _, port in TOPOLOGY.shifted(mine).ports()} & set(tried)


def test_an_offset_is_given_again_once_it_is_no_longer_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    offset = free_offset(TOPOLOGY)
    monkeypatch.setattr(ports, "OFFSETS", range(offset, offset + 1))
    with reserved_offset(TOPOLOGY), pytest.raises(StartFailed, match="no room for sequential"):
        free_offset(TOPOLOGY)
    assert free_offset(TOPOLOGY) == offset


def test_an_offset_where_a_server_listens_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with reserved_offset(TOPOLOGY) as offset:
        monkeypatch.setattr(ports, "OFFSETS", range(offset, offset + 1))
        _, port = next(TOPOLOGY.shifted(offset).ports())
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StartFailed):
        free_offset(TOPOLOGY)


def test_what_is_held_lets_in_the_labs_own_listeners_and_nobody_else() -> None:
    with listen("probe", "127.0.0.1", 0) as probe:
        port = probe.getsockname()[1]
    address = ("service1", "127.0.0.1", port)
    with held([address]):
        for _ in range(2):
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port))
            with listen(*address) as server, socket.create_connection(("127.0.0.1", port)) as client:
                server.setblocking(True)
                server.accept()[0].close()  # so that the connection lingers here
                assert client.recv(1) == b""
        with pytest.raises(PortInUse), held([address]):
            raise AssertionError
    with socket.create_server(("127.0.0.1", port)), pytest.raises(PortInUse), held([address]):
        raise AssertionError
