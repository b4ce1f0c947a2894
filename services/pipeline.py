"""The services of the pipeline as FastAPI applications: one factory for all.

Reading a request: its body, within a limit of size and time, and its budget of time.

What a service makes of the next hop's answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from services.clients import Client, HopAnswer, HopError, HopTimeoutError, open_client, require
from services.fault_injection import FaultyApp
from services.instance import BudgetSpentError, Made, ServiceInstance
from services.messages import PipelineResponse
from services.names import ClientName
from services.settings import ServiceSettings
from services.slots import QueueFullError, SlotTimes

__all__ = [
    "DEADLINE_HEADER",
    "SERVER_TIMING",
    "HttpHandler",
    "create_app",
    "parse",
    "read_body",
    "read_budget_s",
    "relay",
]

DEADLINE_HEADER = "x-request-deadline-ms"
"""How much longer the caller waits, in whole milliseconds."""

MessageT = TypeVar("MessageT", bound=BaseModel)


async def read_body(request: Request, limit_bytes: int, timeout_s: float) -> bytes:
    """The whole body.

    Raises HTTPException: 413 above the limit, declared or not; 408 when it comes too slowly; 400 when it ends
    early.
    """
    too_large = HTTPException(413, f"the body is larger than {limit_bytes} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError as error:
        # What is still to come would be taken for the next request.
        headers = {"connection": "close"}
        raise HTTPException(408, f"the body did not come within {timeout_s:g} s", headers) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the body was cut short") from error
    return b"".join(chunks)


def parse(kind: type[MessageT], body: bytes) -> MessageT:
    """The message in a JSON body. Raises HTTPException 422 with what is wrong, but not the body itself."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(422, [{**e, "loc": ("body", *e["loc"])} for e in wrong]) from error


def read_budget_s(request: Request) -> float | None:
    """How much longer the caller waits, in seconds, or None if it does not say. Raises HTTPException 422."""
    text = request.headers.get(DEADLINE_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        problem = {
            "type": "deadline",
            "loc": ("header", DEADLINE_HEADER),
            "msg": "Input should be whole milliseconds",
        }
        raise HTTPException(422, [problem])
    return int(text) / 1000


SERVER_TIMING = "server-timing"
_QUOTED_CHARS = 500


def relay(answer: HopAnswer, hop: str) -> Response:
    """The next hop's result, or its 503 with Retry-After, as they are and with its Server-Timing.

    Anything else is a failure of the hop, named in the detail: HTTPException 504 where it ran out of time
    itself, 502 otherwise. A 503 is left alone so that each caller behind does not make a retry of it.
    """
    if answer.status == 503:
        names = ("content-type", "retry-after", SERVER_TIMING)
        return Response(
            answer.body, 503, {name: answer.headers[name] for name in names if _plain(answer, name)}
        )
    timing = {SERVER_TIMING: answer.headers[SERVER_TIMING]} if _plain(answer, SERVER_TIMING) else {}
    if answer.status != 200:
        status = 504 if answer.status == 504 else 502
        raise HTTPException(status, f"{hop} answered {answer.status}: {_reason(answer)}", timing)
    try:
        PipelineResponse.model_validate_json(answer.body)
    except ValidationError as error:
        raise HTTPException(
            502, f"{hop} answered 200, but not with a result of the pipeline", timing
        ) from error
    return Response(answer.body, 200, timing, "application/json")


def _plain(answer: HopAnswer, name: str) -> bool:
    """Whether there is such a header, and one that may be sent on."""
    value = answer.headers.get(name, "")
    return bool(value) and value.isascii() and value.isprintable()


def _reason(answer: HopAnswer) -> str:
    """The detail of an error that a service of ours answered, or else the beginning of what it is."""
    try:
        detail = json.loads(answer.body)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = answer.body.decode("utf-8", "replace")
    return str(detail)[:_QUOTED_CHARS]


# With the module, lest the first of many instances to start pays for the import.
require(ClientName.HTTPX)


def create_app(settings: ServiceSettings) -> FastAPI:
    """One instance of a service as an application, which opens its client when it starts and closes it after.

    `app.state.station` holds its slots: replace `station.work` to slow it down while it runs.
    `app.state.ledger` counts executions where the settings ask for a ledger, and is None otherwise.
    Raises SettingsError for a route that is none of the pipeline's, for a next hop too many or missing, and
    for a client that is not installed.
    """
    instance = HttpHandler(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            if settings.next_url is None:
                yield
            else:
                async with open_client(settings.client) as instance.client:
                    yield
        finally:
            instance.place.close()

    # Telemetry hooks and the schema cost time and memory in each of many instances, and nobody asks for them.
    app = _kind(settings)(
        title=settings.instance,
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={Exception: instance.explain},
    )
    app.state.station, app.state.ledger = instance.place.station, instance.place.ledger
    app.add_api_route(settings.path, instance.answer, methods=["POST"], response_model=None)
    app.add_api_route("/health", instance.health, methods=["GET"], response_model=None)
    if instance.place.ledger is not None:
        app.add_api_route("/ledger", instance.show_ledger, methods=["GET"], response_model=None)
    return app


def _kind(settings: ServiceSettings) -> Callable[..., FastAPI]:
    if not settings.faults:
        return FastAPI
    return partial(FaultyApp, route=settings.path, seed=settings.work.seed)


class HttpHandler:
    """What one instance of a service does with an HTTP request: slot, text, work, then the next hop."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.place = ServiceInstance(settings)
        require(settings.client)
        self.settings = settings
        self.client: Client | None = None

    async def health(self) -> Response:
        """GET /health."""
        return JSONResponse({"status": "healthy", "service": self.settings.service})

    async def show_ledger(self) -> Response:
        """GET /ledger: executions by request id, and how many ids are no longer remembered."""
        ledger = self.place.ledger
        assert ledger is not None
        return JSONResponse({"executed": ledger.executed, "forgotten": ledger.forgotten})

    async def explain(self, _: Request, error: Exception) -> Response:
        """What a client is told about a fault of this service itself; the traceback goes to the log."""
        return JSONResponse({"detail": self.place.failed(error)}, 500)

    async def answer(self, request: Request) -> Response:
        """POST on the service's route. Server-Timing tells where the time went, here and beyond."""
        visit = SlotTimes()
        try:
            response = await self._serve(request, visit)
        except HTTPException as error:
            response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        response.headers[SERVER_TIMING] = self.place.timing(visit, response.headers.get(SERVER_TIMING))
        return response

    async def _serve(self, request: Request, visit: SlotTimes) -> Response:
        budget_s = read_budget_s(request)
        deadline = None if budget_s is None else asyncio.get_running_loop().time() + budget_s
        body = await read_body(request, self.settings.body_limit_bytes, self.settings.timeout_s)
        message = parse(self.place.stage.takes, body)
        try:
            made = await self.place.make(message, _json, visit, deadline)
        except QueueFullError as error:
            headers = {"retry-after": str(error.retry_after_s)}
            raise HTTPException(503, self.place.full(error), headers) from error
        except BudgetSpentError as error:
            raise HTTPException(504, str(error)) from error
        if self.settings.next_url is None:
            return Response(made, media_type="application/json")
        return await self._call(self.settings.next_url, made, deadline)

    async def _call(self, url: str, body: bytes, deadline: float | None) -> Response:
        assert self.client is not None, "the application was not started"
        try:
            left_s = self.place.left_s(deadline)
        except BudgetSpentError as error:
            raise HTTPException(504, str(error)) from error
        headers = {"content-type": "application/json", DEADLINE_HEADER: str(int(left_s * 1000))}
        try:
            answer = await self.client.post(url, body, headers, left_s)
        except HopError as error:
            status = 504 if isinstance(error, HopTimeoutError) else 502
            raise HTTPException(status, f"{self.settings.hop}: {error}") from error
        return relay(answer, self.settings.hop)


def _json(made: Made) -> bytes:
    return made.model_dump_json().encode()
