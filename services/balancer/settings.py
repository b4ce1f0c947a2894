"""What can be set about a balancer, and the environment variables that set it."""

from __future__ import annotations

from services.balancer.policies.names import (
    PolicyName,
)  # defined beside the policies; part of the settings too

__all__ = ["PolicyName"]
