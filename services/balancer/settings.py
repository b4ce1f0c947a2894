"""What can be set about a balancer, and the environment variables that set it."""

from __future__ import annotations

# Defined beside the policies, and part of the settings too.
from services.balancer.policies.names import PolicyName

__all__ = ["PolicyName"]
