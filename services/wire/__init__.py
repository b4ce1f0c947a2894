"""An HTTP/1.1 client connection and its pool, on httptools: what balancers and load generator send with.

A sender takes an idle Connection from a Pool, or has the Pool open one (`connecting` makes it). It hands the
connection the bytes of a request (`requests` encodes them) and an Exchange, whose methods tell it the rest:

    sender         → Pool.take, Pool.open → Connection.send(exchange, data)
    the event loop → Connection.data_received → httptools → Exchange.on_head, on_body, on_complete
                     or, where RepeatedHead knows all but the body, → Exchange.on_whole, without the parser
    Deadlines      → Connection.on_deadline → Exchange.on_failure

WireClient does this for coroutines: one call, one whole answer. A connection is idle, busy or closed:

    idle → busy      `send`
    busy → idle      the answer is complete, both sides keep the connection, and nothing is out of step
    busy → closed    the answer is complete but the connection is of no more use; or on_failure: the peer
                     closed or reset it, what came is not HTTP, the deadline passed, or `abort`
    idle → closed    bytes that nothing asked for, the peer closed, or idle for too long

While it is busy, the answer's head is to come (`_interim`: after an interim one), its body (`_head_done`), or
nothing (`_complete`). These are flags: as an enum they made an answer that the parser reads cost 4 % more.
Failures are the tree in `errors`, which tells apart what the other side may have seen.
"""

from __future__ import annotations

from services.wire.client import WireClient
from services.wire.connection import Connection
from services.wire.deadlines import Deadlines
from services.wire.errors import (
    SHORTAGES,
    BrokenAnswer,
    FailureKind,
    NoAnswer,
    NotConnected,
    NotSent,
    WireError,
)
from services.wire.exchange import Exchange, Headers
from services.wire.pool import Opening, Pool
from services.wire.requests import Response, encode_request

__all__ = [
    "SHORTAGES",
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
