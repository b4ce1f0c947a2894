"""A service that can be made to fail while it runs, for experiments: only where its settings allow it."""

from __future__ import annotations

import math
import random
from dataclasses import asdict, dataclass, replace
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from services.addresses import is_loopback

__all__ = ["FAULTS_PATH", "Faults", "FaultyApp"]

FAULTS_PATH = "/faults"


@dataclass(frozen=True, slots=True)
class Faults:
    """The faults of an instance. Raises ValueError where a value makes no sense.

    `slowdown` multiplies the service times. `errors` is the share (0 to 1) of requests answered with 500 and
    not executed, `drops` the share of requests executed and then not answered: the connection is cut.
    """

    slowdown: float = 1.0
    errors: float = 0.0
    drops: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slowdown) and self.slowdown > 0):
            raise ValueError(f"slowdown is {self.slowdown}: give a factor above 0")
        for name in ("errors", "drops"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a share of requests, from 0 to 1")


class FaultyApp(FastAPI):
    """An application whose requests for `route` suffer its faults.

    POST /faults with `{"slowdown": 4, "errors": 0, "drops": 0}`, from this machine only, sets the faults; one
    that is left out is none. Errors are drawn with a seed, so they fall on the same requests in every run.
    """

    def __init__(self, *, route: str, seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.faults = Faults()
        self._route = route
        self._draw = random.Random(seed).random
        self._mean_ms: float | None = None
        self.add_route(FAULTS_PATH, self._set, methods=["POST"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._route:
            await super().__call__(scope, receive, send)
        elif self._draw() < self.faults.errors:
            await JSONResponse({"detail": "a fault was asked for"}, 500)(scope, receive, send)
        elif self._draw() < self.faults.drops:
            await super().__call__(scope, receive, _discard)
            await _hang_up(receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _set(self, request: Request) -> JSONResponse:
        if request.client is None or not is_loopback(request.client.host):
            return JSONResponse({"detail": "faults are set from this machine only"}, 403)
        try:
            self.faults = Faults(**await request.json())
        except (TypeError, ValueError) as error:
            return JSONResponse({"detail": f"no faults: {error}"}, 422)
        slots = self.state.slots
        if self._mean_ms is None:
            self._mean_ms = slots.work.mean_ms
        if slots.work.mean_ms != self._mean_ms * self.faults.slowdown:
            slots.work = replace(slots.work, mean_ms=self._mean_ms * self.faults.slowdown)
        return JSONResponse(asdict(self.faults))


async def _discard(_: Message) -> None:
    """Take an answer that is not sent."""


async def _hang_up(receive: Receive, send: Send) -> None:
    """Close the connection, through uvicorn's own transport: ASGI has no message for it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("a connection can be dropped under uvicorn only")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass
