"""Addresses of a URL's host: looking them up, and racing them for a connection.

A name may stand for several addresses, of which some are silent, or have no server. So connecting begins with
the first, and with each following one a quarter of a second later or as soon as all before it have failed;
the first that takes the connection wins (RFC 8305, "happy eyeballs").
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from lab.errors import BadParameter
from services.addresses import is_loopback
from services.wire.errors import FailureKind, NotConnected

__all__ = ["STAGGER_S", "look_up", "race"]

STAGGER_S = 0.25
"""How long one address is tried before the next is tried too, in seconds: RFC 8305's advice."""

_LOOPBACKS = ("127.0.0.1", "::1")
_TELLING = (
    FailureKind.TLS,
    FailureKind.CONNECT_TIMEOUT,
    FailureKind.UNREACHABLE,
    FailureKind.REFUSED,
    FailureKind.UNRESOLVED,
)
"""Kinds of failure, the most telling first: of two addresses, one often has no server at all."""

C = TypeVar("C")


def look_up(host: str) -> tuple[str, ...]:
    """Return all addresses of a name, the preferred first. Raises BadParameter where there is none.

    `localhost` and all below it are both loopbacks, whatever a resolver says (RFC 6761, 6.3).
    """
    is_local = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        if not is_local:
            raise BadParameter(f"{host} cannot be resolved: check the name") from None
        found = []
    addresses = [str(info[4][0]) for info in found]
    if is_local:
        addresses = [address for address in addresses if is_loopback(address)] + [*_LOOPBACKS]
    return tuple(dict.fromkeys(addresses))


async def race(
    addresses: Sequence[str],
    connect: Callable[[str], Coroutine[Any, Any, C]],
    discard: Callable[[C], object],
    stagger_s: float = STAGGER_S,
) -> tuple[str, C]:
    """Return the address that takes a connection first, and the connection.

    What others made all the same is discarded. Raises the most telling NotConnected where none takes one.
    """
    if len(addresses) == 1:
        return addresses[0], await connect(addresses[0])
    left = list(addresses)
    running: dict[asyncio.Task[C], str] = {}
    errors: list[NotConnected] = []
    try:
        while left or running:
            if left:
                address = left.pop(0)
                running[asyncio.ensure_future(connect(address))] = address
            done = await _some(running, stagger_s if left else None)
            for task in done:
                address = running.pop(task)
                try:
                    return address, task.result()
                except NotConnected as error:
                    errors.append(error)
    finally:
        await _call_off(running, discard)
    raise min(errors, key=_by_what_it_tells)


async def _some(running: dict[asyncio.Task[C], str], timeout_s: float | None) -> list[asyncio.Task[C]]:
    """Wait until one has ended, at most so long, and return those that have."""
    done, _ = await asyncio.wait(running, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    return [task for task in running if task in done]


async def _call_off(running: dict[asyncio.Task[C], str], discard: Callable[[C], object]) -> None:
    """Cancel what still connects, and discard what has connected."""
    for task in running:
        task.cancel()
    for task in running:
        with suppress(asyncio.CancelledError, NotConnected):
            discard(await task)


def _by_what_it_tells(error: NotConnected) -> int:
    return _TELLING.index(error.kind) if error.kind in _TELLING else len(_TELLING)
