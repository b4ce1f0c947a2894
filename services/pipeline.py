"""The services of the pipeline as FastAPI applications: one factory for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from services.clients import ClientName, open_client, require
from services.fault_injection import FaultyApp
from services.hops import Client, HopError, HopTimeoutError
from services.instance import BudgetSpentError, Made, Workplace
from services.relay import SERVER_TIMING, relay
from services.requests import DEADLINE_HEADER, parse, read_body, read_budget_s
from services.settings import ServiceSettings
from services.slots import QueueFullError, Visit

__all__ = ["ServiceInstance", "create_app"]

# With the module, lest the first of many instances to start pays for the import.
require(ClientName.HTTPX)


def create_app(settings: ServiceSettings) -> FastAPI:
    """One instance of a service as an application, which opens its client when it starts and closes it after.

    `app.state.station` holds its slots: replace `station.work` to slow it down while it runs.
    `app.state.ledger` counts executions where the settings ask for a ledger, and is None otherwise.
    Raises SettingsError for a route that is none of the pipeline's, for a next hop too many or missing, and
    for a client that is not installed.
    """
    instance = ServiceInstance(settings)

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


class ServiceInstance:
    """What one instance of a service does with an HTTP request: slot, text, work, then the next hop."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.place = Workplace(settings)
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
        visit = Visit()
        try:
            response = await self._serve(request, visit)
        except HTTPException as error:
            response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        response.headers[SERVER_TIMING] = self.place.timing(visit, response.headers.get(SERVER_TIMING))
        return response

    async def _serve(self, request: Request, visit: Visit) -> Response:
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
