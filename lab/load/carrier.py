"""What carries requests, one at a time: a connection of HTTP/1.1, or a call on a channel of gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, Union

from services.wire.connection import Connection

if TYPE_CHECKING:  # gRPC is imported only by who speaks it
    from lab.load.grpc_endpoint import RpcConnection

__all__ = ["Carrier"]

Carrier: TypeAlias = Union[Connection, "RpcConnection"]
