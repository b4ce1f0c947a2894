"""The services of the pipeline as FastAPI applications: one factory for all four.

A request passes HttpHandler in this order: its budget of time and its body are read within limits of size and
time, the stage's work is done in a slot, the slot is given back, the next service is called, and its answer
is relayed. A failure becomes a JSON detail that names its cause, and Server-Timing goes with either.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from services.clients import Client, HopAnswer, HopError, HopTimeoutError, open_client, require
from services.fault_injection import FaultyApp
from services.instance import BudgetSpentError, ContradictionError, ServiceInstance, StageOutput
from services.messages import PipelineResponse
from services.names import ClientName
from services.server_timing import SERVER_TIMING
from services.settings import ServiceSettings
from services.slots import QueueFullError, SlotTimes

__all__ = [
    "DEADLINE_HEADER",
    "HttpHandler",
    "create_app",
    "parse",
    "read_body",
    "read_budget_s",
    "relay",
]

DEADLINE_HEADER = "x-request-deadline-ms"
"""How much longer the client waits, in whole milliseconds."""

MessageT = TypeVar("MessageT", bound=BaseModel)


async def read_body(request: Request, limit_bytes: int, timeout_s: float) -> bytes:
    """Read the whole body of a request.

    Raises HTTPException: 413 for a body above the limit, declared or not; 408 for one that takes longer than
    `timeout_s` seconds; 400 for one that ends early.
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
    """Return the message in a JSON body.

    Raises HTTPException 422, whose detail says what is wrong without repeating the body.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(422, [{**e, "loc": ("body", *e["loc"])} for e in wrong]) from error


def read_budget_s(request: Request) -> float | None:
    """Return how much longer the client waits, in seconds, the least that it says; None where it does not.

    Raises HTTPException 422 for a budget that is no number of milliseconds.
    """
    texts = [part.strip() for text in request.headers.getlist(DEADLINE_HEADER) for part in text.split(",")]
    if not texts:
        return None
    if not all(text.isascii() and text.isdecimal() and len(text) <= 12 for text in texts):
        problem = {
            "type": "deadline",
            "loc": ("header", DEADLINE_HEADER),
            "msg": "Input should be whole milliseconds",
        }
        raise HTTPException(422, [problem])
    return min(map(int, texts)) / 1000


_QUOTED_CHARS = 500


def relay(answer: HopAnswer, hop: str) -> Response:
    """Return the next hop's result, or its 503 with Retry-After, unchanged and with its Server-Timing.

    Any other answer is a failure of the hop, named in the detail: raises HTTPException 504 where the hop ran
    out of time itself, 502 otherwise. A 503 passes unchanged so that no balancer on the way back retries it.
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
    """Tell whether the answer has the header, with a value that may be sent on."""
    value = answer.headers.get(name, "")
    return bool(value) and value.isascii() and value.isprintable()


def _reason(answer: HopAnswer) -> str:
    """Return the detail of a JSON error, or else the beginning of the body."""
    try:
        detail = json.loads(answer.body)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = answer.body.decode("utf-8", "replace")
    return str(detail)[:_QUOTED_CHARS]


# Imported with the module, so that no single instance of many pays for the import when it starts.
require(ClientName.HTTPX)


def create_app(settings: ServiceSettings, *, described: bool = False) -> FastAPI:
    """Make the application of one instance, which opens its client at start-up and closes it at shutdown.

    A `described` one answers /docs, /redoc and /openapi.json, which costs time and memory at its start.

    `app.state.slots` holds its slots: replace `slots.work` to slow the instance down while it runs.
    `app.state.ledger` counts executions where the settings ask for a ledger, and is None otherwise.
    Raises SettingsError for a route that is none of the pipeline's, for a next hop too many or missing, and
    for a client that is not installed.
    """
    handler = HttpHandler(settings)
    instance = handler.instance

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            if settings.next_url is None:
                yield
            else:
                async with open_client(settings.client, settings.answer_limit_bytes) as handler.client:
                    yield
        finally:
            instance.close()

    # Telemetry hooks cost time and memory in each of many instances, and nothing uses them.
    app = _kind(settings)(
        title=settings.instance,
        lifespan=lifespan,
        openapi_url="/openapi.json" if described else None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={Exception: handler.explain},
    )
    app.state.slots, app.state.ledger = instance.slots, instance.ledger
    described_as: dict[str, Any] = {}
    if described:
        from services.description import describe, description  # nobody else pays for it

        described_as = description(instance.stage)
        describe(app, instance.stage)
    app.add_api_route(settings.path, handler.answer, methods=["POST"], response_model=None, **described_as)
    app.add_api_route("/health", handler.health, methods=["GET"], response_model=None)
    if instance.ledger is not None:
        app.add_api_route("/ledger", handler.show_ledger, methods=["GET"], response_model=None)
    return app


def _kind(settings: ServiceSettings) -> Callable[..., FastAPI]:
    if not settings.faults:
        return FastAPI
    return partial(FaultyApp, route=settings.path, seed=settings.work.seed)


class HttpHandler:
    """The HTTP side of one instance: it answers requests, and calls the next service."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.instance = ServiceInstance(settings)
        require(settings.client)
        self.settings = settings
        self.client: Client | None = None

    async def health(self) -> Response:
        """Answer GET /health."""
        return JSONResponse({"status": "healthy", "service": self.settings.service})

    async def show_ledger(self) -> Response:
        """Answer GET /ledger: executions by request id, and how many ids are no longer remembered."""
        ledger = self.instance.ledger
        assert ledger is not None
        return JSONResponse({"executed": ledger.executed, "forgotten": ledger.forgotten})

    async def explain(self, _: Request, error: Exception) -> Response:
        """Answer for a fault of this instance itself; the traceback goes to the log."""
        return JSONResponse({"detail": self.instance.failure_detail(error)}, 500)

    async def answer(self, request: Request) -> Response:
        """Answer POST on the service's route, with Server-Timing for the time spent here and beyond."""
        times = SlotTimes()
        try:
            response = await self._serve(request, times)
        except HTTPException as error:
            response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        response.headers[SERVER_TIMING] = self.instance.timing(times, response.headers.get(SERVER_TIMING))
        return response

    async def _serve(self, request: Request, times: SlotTimes) -> Response:
        budget_s = read_budget_s(request)
        deadline = None if budget_s is None else asyncio.get_running_loop().time() + budget_s
        body = await read_body(request, self.settings.request_limit_bytes, self.settings.timeout_s)
        message = parse(self.instance.stage.takes, body)
        try:
            output = await self.instance.execute(message, _json, times, deadline)
        except ContradictionError as error:
            problem = {"type": "contradiction", "loc": ("body", "analysis"), "msg": str(error)}
            raise HTTPException(422, [problem]) from error
        except QueueFullError as error:
            headers = {"retry-after": str(error.retry_after_s)}
            raise HTTPException(503, self.instance.full_detail(error), headers) from error
        except BudgetSpentError as error:
            raise HTTPException(504, str(error)) from error
        if self.settings.next_url is None:
            return Response(output, media_type="application/json")
        return await self._call(self.settings.next_url, output, deadline)

    async def _call(self, url: str, body: bytes, deadline: float | None) -> Response:
        assert self.client is not None, "the application was not started"
        try:
            left_s = self.instance.left_s(deadline)
        except BudgetSpentError as error:
            raise HTTPException(504, str(error)) from error
        headers = {"content-type": "application/json", DEADLINE_HEADER: str(int(left_s * 1000))}
        try:
            answer = await self.client.post(url, body, headers, left_s)
        except HopError as error:
            status = 504 if isinstance(error, HopTimeoutError) else 502
            raise HTTPException(status, f"{self.settings.hop}: {error}") from error
        return relay(answer, self.settings.hop)


def _json(output: StageOutput) -> bytes:
    return output.model_dump_json().encode()
