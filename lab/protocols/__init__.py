"""What a protocol costs beside time: bytes on the wire, and coding and decoding of messages."""

from __future__ import annotations

from lab.protocol_costs import wire_bytes
from lab.protocols.coding import coding_costs

__all__ = ["coding_costs", "wire_bytes"]
