"""One instance of a service, asked in gRPC: a ServiceInstance behind the method of its route."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import grpc

from services.addresses import address_of
from services.instance import BudgetSpentError, ContradictionError, ServiceInstance
from services.messages import ReportRequest, TextRequest
from services.rpc.channels import open_channel
from services.rpc.codec import MalformedError, decode_report, decode_response, decode_text, encode
from services.rpc.methods import ASK, METHODS
from services.rpc.server import Answer, Context, GrpcServer, end
from services.rpc.statuses import ANSWERED_BY, RETRY_AFTER, RefusedError, relay, text_metadata
from services.server_timing import SERVER_TIMING
from services.settings import ServiceSettings, SettingsError
from services.slots import QueueFullError, SlotTimes

__all__ = ["ServiceServer"]

_logger = logging.getLogger(__name__)

_DECODERS: Mapping[type, Callable[[bytes], TextRequest | ReportRequest]] = {
    TextRequest: decode_text,
    ReportRequest: decode_report,
}


class ServiceServer(GrpcServer):
    """One instance of a service on one port. It belongs to the running loop.

    Replace `slots.work` to slow the instance down while it runs. `ledger` counts executions, where the
    settings ask for it. Raises SettingsError where the settings make no service of the pipeline.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._handler = GrpcHandler(settings)
        self.slots = self._handler.instance.slots
        self.ledger = self._handler.instance.ledger
        methods: dict[str, Answer] = {METHODS[settings.path]: self._handler.answer}
        if settings.faults:
            from services.rpc.fault_injection import FaultyAnswer  # which no other instance needs

            faulty = FaultyAnswer(self._handler.answer, self.slots, settings.work.seed)
            methods = {METHODS[settings.path]: faulty.answer, ASK: faulty.ask}
        super().__init__(methods, settings.request_limit_bytes)

    async def stop(self, grace_s: float) -> None:
        """Let calls in flight end for `grace_s` seconds, cut the rest, then the channel to the next hop."""
        await super().stop(grace_s)
        await self._handler.close()


class GrpcHandler:
    """The answer to the method of one service, which calls the next."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.instance = ServiceInstance(settings)
        self.settings = settings
        self._decode = _DECODERS[self.instance.stage.takes]
        self._channel: grpc.aio.Channel | None = None
        self._next: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] | None = None
        if settings.next_url is not None:
            self._open(settings.next_url)

    async def answer(self, request: bytes, context: Context) -> bytes:
        """Answer a call. Trailing metadata tells where the time went, here and beyond (Server-Timing)."""
        times = SlotTimes()
        try:
            body, beyond = await self._serve(request, context, times)
        except Exception as error:
            refused = self._refusal(error)
            timing = self.instance.timing(times, refused.metadata.get(SERVER_TIMING))
            trailing = {ANSWERED_BY: self.settings.instance, **refused.metadata, SERVER_TIMING: timing}
            return end(context, refused.code, refused.details, tuple(trailing.items()))
        context.set_trailing_metadata(((SERVER_TIMING, self.instance.timing(times, beyond)),))
        return body

    async def close(self) -> None:
        """End what is open: the channel, worker threads, the ledger's file."""
        self.instance.close()
        if self._channel is not None:
            await self._channel.close()

    def _open(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.path not in METHODS:
            raise SettingsError(
                f"SERVICE_NEXT_URL (next_url) is {url!r}: end it in one of {', '.join(METHODS)}"
            )
        self._channel = open_channel(
            address_of(parts.hostname or "", parts.port or 80),
            answer_limit_bytes=self.settings.answer_limit_bytes,
        )
        self._next = self._channel.unary_unary(METHODS[parts.path])

    async def _serve(self, request: bytes, context: Context, times: SlotTimes) -> tuple[bytes, str | None]:
        budget_s = context.time_remaining()
        deadline = None if budget_s is None else asyncio.get_running_loop().time() + budget_s
        output = await self.instance.execute(self._decode(request), encode, times, deadline)
        if self._next is None:
            return output, None
        call = self._next(output, timeout=self.instance.left_s(deadline))
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            raise relay(error, self.settings.hop) from error
        beyond = text_metadata(await call.trailing_metadata()).get(SERVER_TIMING)
        self._require_result(answer)
        return answer, beyond

    def _require_result(self, answer: bytes) -> None:
        try:
            decode_response(answer)
        except MalformedError as error:
            raise RefusedError(
                grpc.StatusCode.UNAVAILABLE,
                f"{self.settings.hop} answered OK, but not with a result of the pipeline",
            ) from error

    def _refusal(self, error: Exception) -> RefusedError:
        match error:
            case RefusedError():
                return error
            case MalformedError() | ContradictionError():
                return RefusedError(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            case QueueFullError():
                after = {RETRY_AFTER: str(error.retry_after_s)}
                return RefusedError(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, self.instance.full_detail(error), after
                )
            case BudgetSpentError():
                return RefusedError(grpc.StatusCode.DEADLINE_EXCEEDED, str(error))
        _logger.error("%s failed", self.settings.instance, exc_info=error)
        return RefusedError(grpc.StatusCode.INTERNAL, self.instance.failure_detail(error))
