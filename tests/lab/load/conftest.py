"""Servers to load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from scripted_server import Manner, ScriptedServer, serving

# Examples that start histograms take their time, and more of it on a busy machine.
settings.register_profile("patient", deadline=None, max_examples=40)
settings.load_profile("patient")


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers every request with 200."""
    with serving(lambda _: Manner.ANSWER) as running:
        yield running
