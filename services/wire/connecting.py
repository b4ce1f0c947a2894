"""Making a connection, and saying in one kind of error why none was made."""

from __future__ import annotations

import asyncio
import socket
import ssl as tls
from collections.abc import Callable
from typing import TypeVar

from services.wire.errors import FailureKind, NotConnected

__all__ = ["connect"]

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
