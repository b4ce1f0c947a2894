"""How a call ends that does not end well: its status, and what a service makes of the next hop's.

| HTTP                                    | gRPC                |
|-----------------------------------------|---------------------|
| 400, 422: what came is no request       | INVALID_ARGUMENT    |
| 404, 405: no such route or method       | UNIMPLEMENTED       |
| 413: larger than the limit              | RESOURCE_EXHAUSTED  |
| 503 of a full queue, with Retry-After   | RESOURCE_EXHAUSTED, with `retry-after` |
| 502, and 503 where all instances failed | UNAVAILABLE         |
| 504                                     | DEADLINE_EXCEEDED   |
| 500                                     | INTERNAL            |

Every service and balancer here signs a failure of its own with `answered-by` in the trailing metadata. gRPC
gives the same UNAVAILABLE to a caller whose connection broke; without a signature, that is what happened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import grpc

from services.server_timing import SERVER_TIMING
from services.wire.connecting import SHORTAGE_OF
from services.wire.errors import FailureKind, NoAnswer, NotConnected, WireError

__all__ = [
    "ANSWERED_BY",
    "RETRY_AFTER",
    "RefusedError",
    "failure_of",
    "relay",
    "text_metadata",
    "text_of",
]

ANSWERED_BY = "answered-by"
RETRY_AFTER = "retry-after"

_BROKEN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)
_CONNECT_FAILED = "failed to connect to all addresses"
_SHORTAGES = {os.strerror(number): kind for number, kind in SHORTAGE_OF.items()}
"""What gRPC says where this side ran out of something: the system's own words."""
_NOT_RESOLVED = ("DNS resolution failed", "Name resolution failure", "errors resolving")
_QUOTED_CHARS = 500


class RefusedError(Exception):
    """The call ends with this status, these details and this trailing metadata."""

    def __init__(
        self, code: grpc.StatusCode, details: str, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(details)
        self.code = code
        self.details = details[:_QUOTED_CHARS]
        self.metadata = dict(metadata or {})


def text_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """Return the metadata that is text, by its key; of several the last."""
    return {key: value for key, value in metadata or () if isinstance(value, str)}


def text_of(error: grpc.aio.AioRpcError) -> str:
    """Return status and details as `UNAVAILABLE: …`, cut to 500 characters."""
    return f"{error.code().name}: {error.details()}"[:_QUOTED_CHARS]


def failure_of(error: grpc.aio.AioRpcError, peer: str) -> WireError | None:
    """Return what went wrong on the way to the server at `peer`, or None if `error` is its own answer."""
    code, details = error.code(), error.details() or ""
    if ANSWERED_BY in text_metadata(error.trailing_metadata()):
        return None
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return NoAnswer(FailureKind.READ_TIMEOUT, peer)
    if code not in _BROKEN:
        return None
    short_of = next((kind for text, kind in _SHORTAGES.items() if text in details), None)
    if short_of is not None:
        return NotConnected(short_of, peer, details)
    if details.startswith(_NOT_RESOLVED):
        return NotConnected(FailureKind.UNRESOLVED, peer, details)
    if details.startswith(_CONNECT_FAILED):
        refused = "refused" in details
        return NotConnected(FailureKind.REFUSED if refused else FailureKind.CONNECT_TIMEOUT, peer, details)
    return NoAnswer(FailureKind.RESET, peer, details)


_PASSED = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE})
_KEPT = (ANSWERED_BY, RETRY_AFTER, SERVER_TIMING)


def relay(error: grpc.aio.AioRpcError, hop: str) -> RefusedError:
    """Return what to answer after the next hop's failure.

    The failure of a hop that is full, or that found no instance of its own, is passed on as it is. Anything
    else is a failure of the hop, named in the details: DEADLINE_EXCEEDED where it ran out of time,
    UNAVAILABLE otherwise.
    """
    known = {key: value for key, value in text_metadata(error.trailing_metadata()).items() if key in _KEPT}
    code = error.code()
    if ANSWERED_BY in known and code in _PASSED:
        return RefusedError(code, error.details() or "", known)
    timing = {key: value for key, value in known.items() if key == SERVER_TIMING}
    late = code is grpc.StatusCode.DEADLINE_EXCEEDED
    answer = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.UNAVAILABLE
    return RefusedError(answer, f"{hop}: {text_of(error)}", timing)
