"""Ports are looked for without getting in the way of others who do the same."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from lab.errors import StartFailed
from lab.placement import ports
from lab.placement.ports import free_offset, reserved_offset
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
