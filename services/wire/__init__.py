"""An HTTP/1.1 client connection and its pool, on httptools: what balancers and load generator send with."""

from __future__ import annotations

from services.wire.client import WireClient
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.errors import BrokenAnswer, FailureKind, NoAnswer, NotConnected, NotSent, WireError
from services.wire.exchange import Exchange, Headers
from services.wire.pool import Opening, Pool
from services.wire.requests import Response, encode_request

__all__ = [
    "BrokenAnswer",
    "Connection",
    "Deadlines",
    "Exchange",
    "FailureKind",
    "Headers",
    "NoAnswer",
    "NotConnected",
    "NotSent",
    "Opening",
    "Pool",
    "Response",
    "WireClient",
    "WireError",
    "encode_request",
]
