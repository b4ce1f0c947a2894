"""What a protocol costs beside time: bytes on the wire, and coding and decoding of messages."""

from __future__ import annotations

from lab.protocols.coding import coding_costs
from lab.protocols.wire_bytes import wire_bytes

__all__ = ["coding_costs", "wire_bytes"]
