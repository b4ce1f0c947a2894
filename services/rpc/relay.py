"""What a service makes of the next hop's failure."""

from __future__ import annotations

import grpc

from services.rpc.statuses import (
    ANSWERED_BY,
    RETRY_AFTER,
    SERVER_TIMING,
    RefusedError,
    text_metadata,
    text_of,
)

__all__ = ["relay"]

_PASSED = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE})
_KEPT = (ANSWERED_BY, RETRY_AFTER, SERVER_TIMING)


def relay(error: grpc.aio.AioRpcError, hop: str) -> RefusedError:
    """What to answer. A hop that is full, or that found no instance of its own, is passed on as it is.

    Anything else is a failure of the hop, named in the details: DEADLINE_EXCEEDED where it ran out of time,
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
