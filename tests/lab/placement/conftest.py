"""Claims of ports that last as long as a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from lab.topology import Topology
from tests.support.placing import claimed

Claim = Callable[[Topology], Topology]


@pytest.fixture
def claim() -> Iterator[Claim]:
    """Move a topology to ports that no other test is given until this one has ended."""
    with ExitStack() as claims:
        yield lambda topology: claims.enter_context(claimed(topology))
