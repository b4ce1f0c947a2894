"""Servers to load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from scripted_server import Manner, ScriptedServer, serving


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers every request with 200."""
    with serving(lambda _: Manner.ANSWER) as running:
        yield running
