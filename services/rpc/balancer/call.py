"""One call on its way: to one instance after another, until one answers.

A call that stands in line for an instance with room.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import grpc

from services.balancer.balancer import LoadBalancer
from services.balancer.events import Event, EventKind
from services.balancer.health import FailureCause, blame
from services.balancer.instances import InstanceState
from services.balancer.retries import RetryDecision, after_failure
from services.rpc.balancer.balancer import GrpcLoadBalancer
from services.rpc.statuses import ANSWERED_BY, RETRY_AFTER, RefusedError, failure_of
from services.wire.errors import FailureKind, WireError

__all__ = ["CallOutcome", "GrpcForward", "Metadata", "NoRoomError", "QueuedCall"]


class NoRoomError(Exception):
    """No instance had room, and there was none to wait for or the wait was too long."""


class QueuedCall:
    """Waits in the core's line. Whoever gets an instance from it must tell the roster how that ended."""

    def __init__(self, core: LoadBalancer, tried: list[InstanceState]) -> None:
        self.tried = tried
        self._core = core
        self._given: asyncio.Future[InstanceState] = core.loop.create_future()

    async def instance(self) -> InstanceState:
        """The instance to call, on which an attempt has begun. Raises NoRoomError."""
        if not self._core.line.join(self):
            raise NoRoomError("no instance has room, and too many calls wait for it")
        try:
            return await self._given
        except asyncio.CancelledError:
            self._core.line.leave(self)
            if self._given.done() and not self._given.cancelled():  # given at the same moment
                now = time.monotonic()
                self._core.roster.released(self._given.result(), now, now)
                self._core.line.move()
            raise

    def on_room(self, instance: InstanceState) -> None:
        """There is room there."""
        if self._given.done():  # its caller has just gone: the room is somebody else's
            self._core.loop.call_soon(self._core.line.move)
            return
        self._core.roster.started(instance, time.monotonic())
        self._given.set_result(instance)

    def on_queued_out(self) -> None:
        """It has waited too long."""
        if not self._given.done():
            timeout_s = self._core.settings.queue_timeout_s
            self._given.set_exception(NoRoomError(f"no instance had room within {timeout_s:g} s"))


Metadata = Sequence[tuple[str, str | bytes]]

_SLACK_S = 0.01
"""gRPC's timers are no finer than this."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """What an instance made of the call, and passes through as it is: an answer, or its own failure."""

    initial: Metadata
    trailing: Metadata
    body: bytes = b""
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""


class GrpcForward:
    """The attempts at one call. `request` is kept, and sent anew with each."""

    def __init__(
        self, hub: GrpcLoadBalancer, method: str, request: bytes, metadata: Metadata, left_s: float | None
    ) -> None:
        self._hub = hub
        self._core = hub.core
        self._method = method
        self._request = request
        self._metadata = metadata
        self._begun = time.monotonic()
        self._deadline = self._begun + min(self._core.total_timeout_s, inf if left_s is None else left_s)
        self._tried: list[InstanceState] = []
        self._failures: list[str] = []

    async def answer(self) -> CallOutcome:
        """What the first instance that is there makes of the call. Raises RefusedError where none is."""
        self._core.budget.request()
        failed: tuple[InstanceState, str] | None = None
        while True:
            instance = await self._choose()
            begun = time.monotonic()
            if failed is not None:
                self._core.hear(Event(EventKind.RETRIED, begun, *failed))
            self._tried.append(instance)
            try:
                return await self._attempt(instance, begun)
            except WireError as error:
                self._after(error, instance)
                failed = instance, error.kind
            finally:
                self._core.line.move()

    async def _choose(self) -> InstanceState:
        """An instance on which an attempt has begun."""
        core, now = self._core, time.monotonic()
        if now >= self._deadline:
            raise self._refusal(grpc.StatusCode.DEADLINE_EXCEEDED, self._story("the call's time is over"))
        instance = core.choose(now, self._tried)
        if instance is not None:
            core.roster.started(instance, now)
            return instance
        if not core.roster.saturated(self._tried):
            verdict = "all instances failed" if self._tried else "no instance is left"
            raise self._refusal(grpc.StatusCode.UNAVAILABLE, self._story(verdict), retry_after_s=1)
        return await self._wait(now)

    async def _wait(self, now: float) -> InstanceState:
        try:
            async with asyncio.timeout(self._deadline - now):
                return await QueuedCall(self._core, self._tried).instance()
        except NoRoomError as error:
            raise self._refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), retry_after_s=1) from error
        except TimeoutError as error:
            raise self._refusal(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the call's time was over before an instance had room"
            ) from error

    async def _attempt(self, instance: InstanceState, begun: float) -> CallOutcome:
        """What it makes of the call. Raises WireError where nothing comes of it."""
        roster = self._core.roster
        timeout_s = min(self._core.try_timeout_s, self._deadline - begun)
        call = self._hub.peers[instance].method(self._method)(
            self._request, timeout=timeout_s, metadata=self._metadata
        )
        try:
            body = await call
            outcome = CallOutcome(
                tuple(await call.initial_metadata()), tuple(await call.trailing_metadata()), body
            )
        except grpc.aio.AioRpcError as error:
            failure = failure_of(error, instance.label)
            if failure is not None:
                self._take_down(failure, instance, begun, time.monotonic())
                raise failure from error
            told = tuple(error.initial_metadata()), tuple(error.trailing_metadata())
            outcome = CallOutcome(*told, code=error.code(), details=error.details() or "")
        except asyncio.CancelledError:
            now = time.monotonic()
            self._core.counts.released[instance.label] += 1
            roster.released(instance, begun, now)
            self._count(instance, grpc.StatusCode.CANCELLED, now)
            raise
        now = time.monotonic()
        roster.succeeded(instance, begun, now)
        self._count(instance, outcome.code, now)
        return outcome

    def _take_down(self, failure: WireError, instance: InstanceState, begun: float, now: float) -> None:
        """Count a failed attempt, and say what it says of the instance."""
        timed_out = failure.kind is FailureKind.READ_TIMEOUT
        hurried = timed_out and now - begun < self._core.try_timeout_s - _SLACK_S
        # A caller's impatience says nothing of the instance.
        blamed = FailureCause.NONE if hurried else blame(failure)
        self._core.counts.failures[instance.label, failure.kind] += 1
        self._core.roster.failed(instance, begun, now, blamed)
        self._failures.append(f"{instance.label} {failure.kind}")

    def _after(self, failure: WireError, instance: InstanceState) -> None:
        """Raises RefusedError unless the call may be tried elsewhere."""
        core, now = self._core, time.monotonic()
        timed_out = failure.kind is FailureKind.READ_TIMEOUT
        if timed_out and now + _SLACK_S >= self._deadline:
            raise self._refusal(grpc.StatusCode.DEADLINE_EXCEEDED, self._story("the call's time is over"))
        budget = core.budget_after(self._tried)
        verdict = after_failure(failure, self._hub.rules(self._method), budget, now, replayable=True)
        if verdict is RetryDecision.RETRY:
            return
        core.hear(Event(EventKind.DENIED, now, instance, verdict))
        code = grpc.StatusCode.DEADLINE_EXCEEDED if timed_out else grpc.StatusCode.UNAVAILABLE
        raise self._refusal(code, self._story(f"not tried again: {verdict.replace('_', ' ')}"))

    def _count(self, by: InstanceState | None, code: grpc.StatusCode, now: float) -> None:
        """The call is over."""
        self._core.counts.answered(by, code.value[0], now - self._begun)

    def _story(self, verdict: str) -> str:
        return f"{verdict} (tried: {', '.join(self._failures)})" if self._failures else verdict

    def _refusal(self, code: grpc.StatusCode, details: str, retry_after_s: int | None = None) -> RefusedError:
        self._count(None, code, time.monotonic())
        metadata = {ANSWERED_BY: self._core.settings.name}
        if retry_after_s is not None:
            metadata[RETRY_AFTER] = str(retry_after_s)
        return RefusedError(code, f"{self._core.settings.service}: {details}", metadata)
