"""Making a TCP connection, with one kind of error where none is made, and breaking one with a reset."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl as tls
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from services.wire.errors import FailureKind, NotConnected

__all__ = [
    "NO_LINGER",
    "SHORTAGE_OF",
    "can_reach",
    "connect",
    "connect_unix",
    "reset_on_close",
    "shortage_of",
    "tls_text",
]

NO_LINGER = struct.pack("ii", 1, 0)
"""A `struct linger`: on, for 0 seconds."""

P = TypeVar("P", bound=asyncio.Protocol)


async def connect(
    factory: Callable[[], P], host: str, port: int, *, timeout_s: float, ssl: tls.SSLContext | None = None
) -> P:
    """Connect a protocol to `host:port` within `timeout_s` seconds. Raises NotConnected and no other."""
    loop = asyncio.get_running_loop()
    connecting = loop.create_connection(factory, host, port, ssl=ssl)
    return await _made(connecting, host, f"{host}:{port}", timeout_s, ssl)


async def connect_unix(factory: Callable[[], P], path: str, *, timeout_s: float) -> P:
    """Connect a protocol to a unix socket within `timeout_s` seconds. Raises NotConnected and no other."""
    loop = asyncio.get_running_loop()
    return await _made(loop.create_unix_connection(factory, path), "", path, timeout_s, None)


async def _made(
    connecting: Coroutine[Any, Any, tuple[asyncio.Transport, P]],
    host: str,
    peer: str,
    timeout_s: float,
    ssl: tls.SSLContext | None,
) -> P:
    try:
        async with asyncio.timeout(timeout_s):
            _, protocol = await connecting
            return protocol
    except OSError as error:
        raise _not_made(error, host, peer, timeout_s, ssl) from error
    except UnicodeError as error:
        raise NotConnected(FailureKind.UNRESOLVED, peer, str(error)) from error


def _not_made(
    error: OSError, host: str, peer: str, timeout_s: float, ssl: tls.SSLContext | None
) -> NotConnected:
    """Return what an error in connecting says: of this side first, then of the other."""
    if isinstance(error, TimeoutError):
        return NotConnected(FailureKind.CONNECT_TIMEOUT, peer, f"not within {timeout_s:.3g} s")
    short_of = shortage_of(error)
    if short_of is FailureKind.NO_LOCAL_PORT and host and not can_reach(host):
        return NotConnected(FailureKind.UNREACHABLE, peer, "this machine has no address to reach it from")
    if short_of is not None:
        return NotConnected(short_of, peer, error.strerror or str(error))
    if isinstance(error, ConnectionRefusedError):
        return NotConnected(FailureKind.REFUSED, peer)
    if isinstance(error, tls.SSLError):
        return NotConnected(FailureKind.TLS, peer, tls_text(error))
    if isinstance(error, socket.gaierror):
        return NotConnected(FailureKind.UNRESOLVED, peer, str(error))
    if isinstance(error, ConnectionError) and ssl is not None:
        return NotConnected(FailureKind.TLS, peer, "the server closed during the handshake")
    return NotConnected(FailureKind.UNREACHABLE, peer, str(error))


SHORTAGE_OF = {
    errno.EMFILE: FailureKind.NO_DESCRIPTOR,
    errno.ENFILE: FailureKind.NO_DESCRIPTOR,
    errno.EADDRNOTAVAIL: FailureKind.NO_LOCAL_PORT,
    errno.ENOBUFS: FailureKind.NO_MEMORY,
    errno.ENOMEM: FailureKind.NO_MEMORY,
}
"""What this side is short of, by the system's error."""


def shortage_of(error: BaseException | None) -> FailureKind | None:
    """Return what this side was short of, where that is what an error says; else None."""
    if isinstance(error, MemoryError):
        return FailureKind.NO_MEMORY
    if not isinstance(error, OSError) or isinstance(error, ConnectionError):
        return None
    if error.errno in SHORTAGE_OF and not isinstance(error, socket.gaierror):
        return SHORTAGE_OF[error.errno]
    return None if _may_open() else FailureKind.NO_DESCRIPTOR  # looking up a name hides the cause


def can_reach(address: str) -> bool:
    """Tell whether this machine has an address of its own to reach an IP address from."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((address, 9))  # which sends nothing
    except OSError as error:
        return error.errno not in _NOT_HERE
    return True


_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETUNREACH}


def _may_open() -> bool:
    """Return whether this process may open another file."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in SHORTAGE_OF
    return True


_TLS_TEXTS = {
    "CERTIFICATE_REQUIRED": "the server wants a client certificate",
    "WRONG_VERSION_NUMBER": "the server does not speak TLS on this port",
    "UNKNOWN_CA": "the server does not trust the client certificate",
    "BAD_CERTIFICATE": "the server does not take the client certificate",
}
"""What OpenSSL's reasons mean to a client, by their end."""


def tls_text(error: tls.SSLError) -> str:
    """Return in plain words why TLS failed."""
    if isinstance(error, tls.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    reason = error.reason or ""
    for end, text in _TLS_TEXTS.items():
        if reason.endswith(end):
            return text
    return reason.lower().replace("_", " ") or str(error)


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Make aborting the transport reset the connection, as the kernel does when a process dies."""
    sock = transport.get_extra_info("socket")
    if sock is not None:  # None once it is closed
        with suppress(OSError):  # the peer was faster
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
