"""What clients, balancers and services speak to each other, by name."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["ProtocolName"]


class ProtocolName(StrEnum):
    """The protocol of a whole topology. `rest` is another name of `http`."""

    HTTP = "http"
    """JSON over HTTP/1.1."""
    GRPC = "grpc"
    """Protobuf over HTTP/2."""

    @classmethod
    def _missing_(cls, value: object) -> ProtocolName | None:
        return cls.HTTP if value == "rest" else None
