"""Making a TCP connection, with one kind of error where none is made, and breaking one with a reset."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from services.wire.errors import FailureKind, NotConnected

__all__ = ["connect", "reset_on_close"]

_NO_LINGER = struct.pack("ii", 1, 0)
"""A `struct linger`: on, for 0 seconds."""

P = TypeVar("P", bound=asyncio.Protocol)


async def connect(
    factory: Callable[[], P], host: str, port: int, *, timeout_s: float, ssl: tls.SSLContext | None = None
) -> P:
    """Connect a protocol to `host:port` within `timeout_s` seconds. Raises NotConnected and no other."""
    peer = f"{host}:{port}"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            _, protocol = await loop.create_connection(factory, host, port, ssl=ssl)
            return protocol
    except TimeoutError as error:
        raise NotConnected(FailureKind.CONNECT_TIMEOUT, peer, f"not within {timeout_s:g} s") from error
    except ConnectionRefusedError as error:
        raise NotConnected(FailureKind.REFUSED, peer) from error
    except tls.SSLError as error:
        raise NotConnected(FailureKind.TLS, peer, str(error)) from error
    except (socket.gaierror, UnicodeError) as error:
        raise NotConnected(FailureKind.UNRESOLVED, peer, str(error)) from error
    except OSError as error:
        raise NotConnected(FailureKind.UNREACHABLE, peer, str(error)) from error


def reset_on_close(transport: asyncio.BaseTransport) -> None:
    """Make aborting the transport reset the connection, as the kernel does when a process dies."""
    sock = transport.get_extra_info("socket")
    if sock is not None:  # None once it is closed
        with suppress(OSError):  # the peer was faster
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
