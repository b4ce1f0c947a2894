"""Outcomes: an HTTP status, or the class of a failure. Every request has exactly one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from services.wire.errors import FailureKind, NotConnected, WireError

__all__ = [
    "OWN_LIMITS",
    "RPC_STATUSES",
    "SUCCEEDED",
    "Outcome",
    "OwnLimit",
    "code_of",
    "code_of_no_connection",
    "is_success",
    "name_of",
    "own_failures",
    "succeeded",
    "text_of",
    "was_sent",
]


class Outcome(StrEnum):
    """The classes of failure, beside statuses such as `http_200`, `http_503` or `grpc_unavailable`."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    UNRESOLVED = "unresolved"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    RESET = "reset"
    CLOSED_EARLY = "closed_early"
    SHORT_BODY = "short_body"
    READ_TIMEOUT = "read_timeout"
    PROTOCOL_ERROR = "protocol_error"
    TOO_LARGE = "too_large"
    UNANSWERED = "unanswered"
    """Still in flight when the time to drain was over: the generator gave the request up."""
    NO_LOCAL_PORT = "no_local_port"
    """No port was left to connect from. This, and those below, are the generator's own failures."""
    NO_DESCRIPTOR = "no_descriptor"
    """The generator's process, or its machine, could open no more files."""
    NO_MEMORY = "no_memory"
    """The generator's machine had no memory for a connection."""


class OwnLimit(StrEnum):
    """What of the generator's own ran short, so that the server was not loaded as asked."""

    CONNECTIONS = "connections"
    """All of an open loop's connections were in use, and the server could have answered more."""
    PORTS = "ports"
    DESCRIPTORS = "descriptors"
    MEMORY = "memory"


OWN_LIMITS = {
    Outcome.NO_LOCAL_PORT: OwnLimit.PORTS,
    Outcome.NO_DESCRIPTOR: OwnLimit.DESCRIPTORS,
    Outcome.NO_MEMORY: OwnLimit.MEMORY,
}
"""The classes of failure that are the generator's own, and what ran short."""


SUCCEEDED = range(200, 400)
"""The statuses that count as success."""

RPC_STATUSES = 1000
"""The statuses of gRPC count from here, as HTTP's have three digits; but OK is 200, its HTTP status."""

_RPC_STATUSES = (
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
)

# In the hot loop an outcome is one small int: the HTTP status, or the class's place below zero.
_CLASSES = tuple(Outcome)
_CODES: Mapping[Outcome, int] = {outcome: -place for place, outcome in enumerate(_CLASSES, start=1)}
_NO_CONNECTION = frozenset(
    {
        Outcome.REFUSED,
        Outcome.UNREACHABLE,
        Outcome.UNRESOLVED,
        Outcome.CONNECT_TIMEOUT,
        Outcome.TLS,
        *OWN_LIMITS,
    }
)
_LACKED = {
    Outcome.NO_LOCAL_PORT: "no local port is left to connect from (ip_local_port_range)",
    Outcome.NO_DESCRIPTOR: "the generator can open no more files (ulimit -n)",
    Outcome.NO_MEMORY: "the generator's machine has no memory for a connection",
}
_TEXTS = {
    FailureKind.REFUSED: "nothing listens there",
    FailureKind.RESET: "the server reset the connection",
    FailureKind.CLOSED_EARLY: "the server closed the connection before the answer's head was whole",
    FailureKind.SHORT_BODY: "the server closed the connection before the answer's body was whole",
    FailureKind.READ_TIMEOUT: "no whole answer within the time-out",
    FailureKind.ABORTED: "no answer before the run was over",
}


def code_of(kind: FailureKind | Outcome) -> int:
    """Return the int that stands for a class of failure."""
    if kind is FailureKind.ABORTED:
        return _CODES[Outcome.UNANSWERED]
    return _CODES[Outcome(kind)]


def code_of_no_connection(error: NotConnected) -> int:
    """Return the int for a connection that could not be made: `unreachable` for kinds without a class.

    So a reset in the middle of connecting is not taken for that of a request that the server may have seen.
    """
    code = code_of(error.kind)
    return code if _CLASSES[-code - 1] in _NO_CONNECTION else _CODES[Outcome.UNREACHABLE]


def text_of(error: WireError) -> str:
    """Return in a line what a failure was about, for a person."""
    if not isinstance(error, NotConnected):
        return error.detail or _TEXTS.get(error.kind, str(error.kind))
    own = _LACKED.get(_CLASSES[-code_of_no_connection(error) - 1])
    return f"{error.peer}: {own or error.detail or _TEXTS.get(error.kind, str(error.kind))}"


def name_of(code: int) -> str:
    """Return the name of the outcome that an int stands for."""
    if code > RPC_STATUSES:
        return f"grpc_{_RPC_STATUSES[code - RPC_STATUSES]}"
    return f"http_{code}" if code >= 0 else str(_CLASSES[-code - 1])


def is_success(name: str) -> bool:
    """Tell whether the outcome of that name is a success."""
    return name.startswith("http_") and int(name.removeprefix("http_")) in SUCCEEDED


def succeeded(counts: Mapping[str, int]) -> int:
    """Return how many of the counted outcomes are successes."""
    return _count(counts, (name for name in counts if is_success(name)))


def own_failures(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counted outcomes that are the generator's own failures: no server had a part in them."""
    return {name: count for name, count in counts.items() if name in OWN_LIMITS}


def was_sent(counts: Mapping[str, int]) -> int:
    """Return how many of the counted outcomes are of requests that went out on a connection."""
    return _count(counts, (name for name in counts if name not in _NO_CONNECTION))


def _count(counts: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(counts[name] for name in names)
