"""The failures of an exchange over a wire connection, told apart by what the other side may have seen.

    WireError
    ├── NotConnected    no connection was made: nothing was sent
    ├── NotSent         the connection was gone before the request was written: nothing was sent
    ├── NoAnswer        the request was written, no byte of an answer came: it may have been executed
    └── BrokenAnswer    an answer began and did not end well

The first two may always be tried elsewhere; the third only where doing a thing twice does no harm; the
last never, once any of it was passed on.
"""

# ruff: noqa: N818  # they are told apart in one glance; "Error" four times would not help

from __future__ import annotations

from enum import StrEnum

__all__ = ["SHORTAGES", "BrokenAnswer", "FailureKind", "NoAnswer", "NotConnected", "NotSent", "WireError"]


class FailureKind(StrEnum):
    """The cause of a failure, in one word for logs and counters."""

    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    """No connection for another reason, such as a reset as it was made: the port has just been closed."""
    UNRESOLVED = "unresolved"
    """The host's name has no address."""
    CONNECT_TIMEOUT = "connect_timeout"
    TLS = "tls"
    RESET = "reset"
    """The connection that the request went out on was reset."""
    CLOSED_EARLY = "closed_early"
    """The peer closed in good order, before the end of the answer's head."""
    SHORT_BODY = "short_body"
    """The peer closed in good order, before the end of the answer's body."""
    READ_TIMEOUT = "read_timeout"
    PROTOCOL_ERROR = "protocol_error"
    """The answer is not HTTP/1.1."""
    TOO_LARGE = "too_large"
    """The answer is larger than the receiver holds."""
    ABORTED = "aborted"
    """This side gave up: `Connection.abort` was called, or the task that waited was cancelled."""
    NO_DESCRIPTOR = "no_descriptor"
    """This side may open no more files: a connection is one."""
    NO_LOCAL_PORT = "no_local_port"
    """This side has no port left for another connection to that address."""
    NO_MEMORY = "no_memory"
    """This side, or its system's network, has no memory or buffers left."""


SHORTAGES = {
    FailureKind.NO_DESCRIPTOR: "out of descriptors",
    FailureKind.NO_LOCAL_PORT: "out of ports",
    FailureKind.NO_MEMORY: "out of memory",
}
"""Causes that lie with this side alone and say nothing about the other, as people read them."""


class WireError(Exception):
    """A failed exchange: `kind` is the cause, `detail` more of it, `peer` the other side as `host:port`."""

    def __init__(self, kind: FailureKind, peer: str, detail: str = "") -> None:
        super().__init__(f"{peer}: {kind}" + (f" ({detail})" if detail else ""))
        self.kind = kind
        self.peer = peer
        self.detail = detail


class NotConnected(WireError):
    """No connection was made, so nothing was sent."""


class NotSent(WireError):
    """The connection was gone before the request was written, so nothing was sent."""


class NoAnswer(WireError):
    """The request was written, in whole or in part, and no byte of an answer came."""


class BrokenAnswer(WireError):
    """An answer began and was cut short, was not HTTP, or came too late."""
