"""A call to the next hop: one POST, then one whole answer or one of three failures.

HopError
├── HopUnreachableError   no connection was made
├── HopTimeoutError       no whole answer came in time
└── HopBrokenError        the connection broke, or what came was not a whole HTTP answer
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

__all__ = [
    "Answer",
    "Client",
    "HopBrokenError",
    "HopError",
    "HopTimeoutError",
    "HopUnreachableError",
    "Send",
    "TimedClient",
]


class HopError(Exception):
    """The next hop gave no whole answer."""


class HopUnreachableError(HopError):
    """No connection was made, so nothing was sent."""


class HopTimeoutError(HopError):
    """No whole answer came in time."""


class HopBrokenError(HopError):
    """The connection broke, or what came was not a whole HTTP answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, whatever its status. Header names are in lower case, repeated ones joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Client(Protocol):
    """What a service calls the next hop with. Belongs to one event loop."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """One POST and its answer, whatever the status. `timeout_s` covers all of it. Raises HopError."""


Send: TypeAlias = Callable[[str, bytes, Mapping[str, str]], Awaitable[Answer]]


class TimedClient:
    """A client made of a function that sends, and of one time limit over all that it does.

    The function should set no time-outs: each library means something else by them, and none the whole.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """See Client."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._send(url, body, headers)
        except TimeoutError as error:
            raise HopTimeoutError(f"no answer within {timeout_s:.3g} s") from error
