"""Disturbances judged as they are, where they are what is tested."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def quiet_machine() -> None:
    """Leave the estimate as it is."""
