"""Servers to load."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.scripted_server import Manner, ScriptedServer, serving


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers every request with 200."""
    with serving(lambda _: Manner.ANSWER) as running:
        yield running


@pytest.fixture
def name_here(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has a name stand for addresses, in this process and no other: `name_here("some.test", "127.0.0.1")`."""
    look_up = socket.getaddrinfo

    def stand(name: str, *addresses: str) -> None:
        def answer(host: str, *arguments: Any, **more: Any) -> list[Any]:
            hosts = (addresses or ("127.0.0.1",)) if host == name else (host,)
            return [info for each in hosts for info in look_up(each, *arguments, **more)]

        monkeypatch.setattr(socket, "getaddrinfo", answer)

    return stand
