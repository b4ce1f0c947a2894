"""Small ASGI applications to place: what a topology's `app` names as `tests.support.apps:function`."""

# ruff: noqa: ARG001 (an ASGI application takes all three, and its factory the settings)

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from services.settings import ServiceSettings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

logger = logging.getLogger("services.apps")


def hello(settings: ServiceSettings) -> App:
    """Answers every request with its own name, and logs it."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan here")
        logger.info("asked for %s", scope["path"])
        await _answer(send, settings.instance.encode())

    return app


def never(settings: ServiceSettings) -> App:
    """Takes every request and never answers, not even when it is cancelled once."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan here")
        logger.info("asked for %s", scope["path"])
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(3600)

    return app


def slow(settings: ServiceSettings) -> App:
    """Answers after a fifth of a second."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan here")
        logger.info("asked for %s", scope["path"])
        await asyncio.sleep(0.2)
        await _answer(send, b"at last")

    return app


def stillborn(settings: ServiceSettings) -> App:
    """Fails while starting, as an application does whose database is away."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the database is away"})

    return app


def refused(settings: ServiceSettings) -> App:
    """Cannot even be made."""
    raise RuntimeError("no such model")


async def _answer(send: Send, body: bytes) -> None:
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})
