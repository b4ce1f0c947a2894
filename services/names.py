"""What is chosen by name: policies, protocols, clients and kinds of work, as enums of the published names.

Topologies, sweeps, notebooks and environment variables all use these names. The module imports nothing of
what the names stand for.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

__all__ = ["ClientName", "Distribution", "PolicyName", "ProtocolName", "WorkKind", "choice", "nearest"]


class PolicyName(StrEnum):
    """How a balancer chooses the instance of a request."""

    ROUND_ROBIN = "round_robin"
    """Each in its turn."""
    WEIGHTED_ROUND_ROBIN = "weighted_round_robin"
    """Each in its turn, a heavier one more often, its turns spread out. The only policy that uses weights."""
    LEAST_CONNECTIONS = "least_connections"
    """The one with the fewest attempts in flight."""
    RANDOM = "random"
    """Any of them, with equal probability."""
    POWER_OF_TWO = "power_of_two"
    """The less busy of two drawn at random."""
    PEAK_EWMA = "peak_ewma"
    """Of two drawn at random the one that would answer sooner, by recent times and attempts in flight."""
    CENTRAL_QUEUE = "central_queue"
    """Any with room, few at a time each; further requests wait in one queue before all of them."""


ChoiceT = TypeVar("ChoiceT", bound=StrEnum)


def choice(kind: type[ChoiceT], field: str, name: str) -> ChoiceT:
    """Return the member of an enum for its name, which may be given as a plain string.

    Raises ValueError, naming the field and all members.
    """
    try:
        return kind(name)
    except ValueError:
        raise ValueError(f"{field} must be one of {', '.join(kind)}, not {name!r}") from None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that a misspelt one is most like, or None where none is near."""
    from difflib import get_close_matches  # wanted after a mistake only

    return next(iter(get_close_matches(name, list(known), n=1)), None)


class ProtocolName(StrEnum):
    """The protocol of a whole topology. `rest` is another name of `http`."""

    HTTP = "http"
    """JSON over HTTP/1.1."""
    GRPC = "grpc"
    """Protobuf over HTTP/2."""

    @classmethod
    def _missing_(cls, value: object) -> ProtocolName | None:
        return cls.HTTP if value == "rest" else None


class ClientName(StrEnum):
    """The HTTP client that a service calls the next hop with."""

    HTTPX = "httpx"
    """One httpx client, with its pool of connections, for the life of the service."""
    HTTPX_PER_REQUEST = "httpx-per-request"
    """A new httpx client, TLS set-up and connection for each request, as in the published pipeline."""
    HTTPX_AIOHTTP = "httpx-aiohttp"
    """One httpx client that sends through aiohttp."""
    AIOHTTP = "aiohttp"
    """One aiohttp session."""
    WIRE = "wire"
    """The lab's own connections on httptools: the default, since httpx itself costs a few per cent of what
    the documented pipeline can do with 32 requests in flight."""


class WorkKind(StrEnum):
    """How a service spends a request's service time. `documented` is another name of `io`."""

    IO = "io"
    """Waits, as for a disk or another machine."""
    CPU = "cpu"
    """Burns a worker thread's own CPU time for as long."""
    TEXT = "text"
    """Does the text processing alone, with no service time added."""

    @classmethod
    def _missing_(cls, value: object) -> WorkKind | None:
        return cls.IO if value == "documented" else None


class Distribution(StrEnum):
    """How service times are spread around their mean."""

    CONSTANT = "constant"
    EXPONENTIAL = "exponential"
    LOGNORMAL = "lognormal"
    NONE = "none"
    """No service time at all, whatever the mean says."""
