"""Making a TCP connection, with one kind of error where none is made, and breaking one with a reset."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
import struct
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from services.wire.errors import FailureKind, NotConnected

__all__ = ["NO_LINGER", "connect", "connect_unix", "reset_on_close", "tls_text"]

NO_LINGER = struct.pack("ii", 1, 0)
"""A `struct linger`: on, for 0 seconds."""

P = TypeVar("P", bound=asyncio.Protocol)


async def connect(
    factory: Callable[[], P], host: str, port: int, *, timeout_s: float, ssl: tls.SSLContext | None = None
) -> P:
    """Connect a protocol to `host:port` within `timeout_s` seconds. Raises NotConnected and no other."""
    loop = asyncio.get_running_loop()
    return await _made(loop.create_connection(factory, host, port, ssl=ssl), f"{host}:{port}", timeout_s, ssl)


async def connect_unix(factory: Callable[[], P], path: str, *, timeout_s: float) -> P:
    """Connect a protocol to a unix socket within `timeout_s` seconds. Raises NotConnected and no other."""
    loop = asyncio.get_running_loop()
    return await _made(loop.create_unix_connection(factory, path), path, timeout_s, None)


async def _made(
    connecting: Coroutine[Any, Any, tuple[asyncio.Transport, P]],
    peer: str,
    timeout_s: float,
    ssl: tls.SSLContext | None,
) -> P:
    try:
        async with asyncio.timeout(timeout_s):
            _, protocol = await connecting
            return protocol
    except TimeoutError as error:
        raise NotConnected(FailureKind.CONNECT_TIMEOUT, peer, f"not within {timeout_s:.3g} s") from error
    except ConnectionRefusedError as error:
        raise NotConnected(FailureKind.REFUSED, peer) from error
    except tls.SSLError as error:
        raise NotConnected(FailureKind.TLS, peer, tls_text(error)) from error
    except (socket.gaierror, UnicodeError) as error:
        raise NotConnected(FailureKind.UNRESOLVED, peer, str(error)) from error
    except ConnectionError as error:
        if ssl is None:
            raise NotConnected(FailureKind.UNREACHABLE, peer, str(error)) from error
        raise NotConnected(FailureKind.TLS, peer, "the server closed during the handshake") from error
    except OSError as error:
        raise NotConnected(FailureKind.UNREACHABLE, peer, str(error)) from error


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
