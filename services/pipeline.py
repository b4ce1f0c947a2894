"""The services of the pipeline as FastAPI applications: one factory for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from services.clients import ClientName, open_client, require
from services.faults import FaultyApp
from services.hops import Client, HopError, HopTimeoutError
from services.ledger import Ledger
from services.relay import SERVER_TIMING, relay
from services.requests import DEADLINE_HEADER, parse, read_body, read_budget_s
from services.settings import ServiceSettings, SettingsError
from services.stages import STAGES
from services.station import QueueFullError, Station, Visit

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
            instance.station.close()
            if instance.ledger is not None:
                instance.ledger.close()

    # Telemetry hooks and the schema cost time and memory in each of many instances, and nobody asks for them.
    app = _kind(settings)(
        title=settings.instance,
        lifespan=lifespan,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={Exception: instance.explain},
    )
    app.state.station, app.state.ledger = instance.station, instance.ledger
    app.add_api_route(settings.path, instance.answer, methods=["POST"], response_model=None)
    app.add_api_route("/health", instance.health, methods=["GET"], response_model=None)
    if instance.ledger is not None:
        app.add_api_route("/ledger", instance.show_ledger, methods=["GET"], response_model=None)
    return app


def _kind(settings: ServiceSettings) -> Callable[..., FastAPI]:
    if not settings.faults:
        return FastAPI
    return partial(FaultyApp, route=settings.path, seed=settings.work.seed)


class ServiceInstance:
    """What one instance of a service does with a request: slot, text, work, then the next hop."""

    def __init__(self, settings: ServiceSettings) -> None:
        if settings.path not in STAGES:
            raise SettingsError(f"SERVICE_PATH (path) is {settings.path!r}: give one of {', '.join(STAGES)}")
        self.stage = STAGES[settings.path]
        if self.stage.last is not (settings.next_url is None):
            wanted = "has no next hop: leave it out" if self.stage.last else "needs one: give its full URL"
            raise SettingsError(
                f"SERVICE_NEXT_URL (next_url) is {settings.next_url!r}: {settings.path} {wanted}"
            )
        require(settings.client)
        self.settings = settings
        self.station = Station(settings.work, settings.instance)
        self.ledger = Ledger(settings.ledger_limit, settings.ledger_file) if settings.ledger_limit else None
        self.client: Client | None = None

    async def health(self) -> Response:
        """GET /health."""
        return JSONResponse({"status": "healthy", "service": self.settings.service})

    async def show_ledger(self) -> Response:
        """GET /ledger: executions by request id, and how many ids are no longer remembered."""
        assert self.ledger is not None
        return JSONResponse({"executed": self.ledger.executed, "forgotten": self.ledger.forgotten})

    async def explain(self, _: Request, error: Exception) -> Response:
        """What a client is told about a fault of this service itself; the traceback goes to the log."""
        return JSONResponse({"detail": f"{self.settings.instance} failed: {type(error).__name__}"}, 500)

    async def answer(self, request: Request) -> Response:
        """POST on the service's route. Server-Timing tells where the time went, here and beyond."""
        visit = Visit()
        try:
            response = await self._serve(request, visit)
        except HTTPException as error:
            response = JSONResponse({"detail": error.detail}, error.status_code, error.headers)
        timing = (
            f"{self.settings.service}-queue;dur={visit.queue_s * 1000:.3f}, "
            f"{self.settings.service}-work;dur={visit.work_s * 1000:.3f}"
        )
        beyond = response.headers.get(SERVER_TIMING)
        response.headers[SERVER_TIMING] = f"{timing}, {beyond}" if beyond else timing
        return response

    async def _serve(self, request: Request, visit: Visit) -> Response:
        budget_s = read_budget_s(request)
        deadline = None if budget_s is None else asyncio.get_running_loop().time() + budget_s
        body = await read_body(request, self.settings.body_limit_bytes, self.settings.timeout_s)
        message = parse(self.stage.takes, body)

        def step() -> bytes:
            if self.ledger is not None:
                self.ledger.note(message.request_id)
            return self.stage.does(message).model_dump_json().encode()

        try:
            async with asyncio.timeout_at(deadline):
                made = await self.station.serve(step, visit)
        except QueueFullError as error:
            headers = {"retry-after": str(error.retry_after_s)}
            raise HTTPException(503, f"{self.settings.instance} is full: {error}", headers) from error
        except TimeoutError as error:
            raise self._late() from error
        if self.settings.next_url is None:
            return Response(made, media_type="application/json")
        return await self._call(self.settings.next_url, made, deadline)

    async def _call(self, url: str, body: bytes, deadline: float | None) -> Response:
        assert self.client is not None, "the application was not started"
        left_s = self.settings.hop_timeout_s
        if deadline is not None:
            left_s = min(left_s, deadline - asyncio.get_running_loop().time())
        if left_s <= 0:
            raise self._late()
        headers = {"content-type": "application/json", DEADLINE_HEADER: str(int(left_s * 1000))}
        try:
            answer = await self.client.post(url, body, headers, left_s)
        except HopError as error:
            status = 504 if isinstance(error, HopTimeoutError) else 502
            raise HTTPException(status, f"{self.settings.hop}: {error}") from error
        return relay(answer, self.settings.hop)

    def _late(self) -> HTTPException:
        return HTTPException(504, f"{self.settings.instance}: the request's budget ran out before its end")
