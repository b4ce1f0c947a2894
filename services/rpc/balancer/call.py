"""One call on its way: to one instance after another, until one of them answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import grpc

from services.balancer.balancer import LoadBalancer
from services.balancer.events import Event, EventKind
from services.balancer.health import FailureCause, cause_of
from services.balancer.instances import InstanceState
from services.balancer.retries import RetryDecision, after_failure
from services.rpc.balancer.balancer import GrpcLoadBalancer
from services.rpc.statuses import ANSWERED_BY, RETRY_AFTER, RefusedError, failure_of
from services.wire.errors import FailureKind, WireError

__all__ = ["CallOutcome", "GrpcForward", "Metadata", "NoRoomError", "QueuedCall"]


class NoRoomError(Exception):
    """No instance had room, and there was none to wait for or the wait was too long."""


class QueuedCall:
    """A call in the balancer's queue. Tell the InstanceSet how the attempt at the instance it gets ends."""

    def __init__(self, balancer: LoadBalancer, tried: list[InstanceState]) -> None:
        self.tried = tried
        self._balancer = balancer
        self._given: asyncio.Future[InstanceState] = balancer.loop.create_future()

    async def instance(self) -> InstanceState:
        """Wait for the instance to call, and begin an attempt there. Raises NoRoomError."""
        if not self._balancer.queue.join(self, time.monotonic()):
            raise NoRoomError("no instance has room, and too many calls wait for it")
        try:
            return await self._given
        except asyncio.CancelledError:
            self._balancer.queue.leave(self)
            if self._given.done() and not self._given.cancelled():  # given at the same moment
                now = time.monotonic()
                self._balancer.instances.released(self._given.result(), now, now)
                self._balancer.queue.dispatch()
            raise

    def on_room(self, instance: InstanceState) -> None:
        """Begin an attempt at `instance`, which has room."""
        if self._given.done():  # its client has just gone: the room is another call's
            self._balancer.loop.call_soon(self._balancer.queue.dispatch)
            return
        self._balancer.instances.started(instance, time.monotonic())
        self._given.set_result(instance)

    def on_queue_timeout(self) -> None:
        """Give up: the call waited too long."""
        if not self._given.done():
            timeout_s = self._balancer.settings.queue_timeout_s
            self._given.set_exception(NoRoomError(f"no instance had room within {timeout_s:g} s"))


Metadata = Sequence[tuple[str, str | bytes]]

_SLACK_S = 0.01
"""gRPC's timers are no finer than this."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """An instance's response or failure, which passes through as it is."""

    initial: Metadata
    trailing: Metadata
    body: bytes = b""
    code: grpc.StatusCode = grpc.StatusCode.OK
    details: str = ""


class GrpcForward:
    """The attempts at one call. `request` is kept, and sent anew with each."""

    def __init__(
        self,
        grpc_balancer: GrpcLoadBalancer,
        method: str,
        request: bytes,
        metadata: Metadata,
        left_s: float | None,
    ) -> None:
        self._grpc_balancer = grpc_balancer
        self._balancer = grpc_balancer.balancer
        self._method = method
        self._request = request
        self._metadata = metadata
        self._begun = time.monotonic()
        self._deadline = self._begun + min(self._balancer.total_timeout_s, inf if left_s is None else left_s)
        self._tried: list[InstanceState] = []
        self._failures: list[str] = []

    async def answer(self) -> CallOutcome:
        """Return the outcome at the first instance that answers. Raises RefusedError where none does."""
        self._balancer.budget.requests += 1
        failed: tuple[InstanceState, str] | None = None
        while True:
            instance = await self._choose()
            begun = time.monotonic()
            if failed is not None:
                self._balancer.on_event(Event(EventKind.RETRIED, begun, *failed))
            self._tried.append(instance)
            try:
                return await self._attempt(instance, begun)
            except WireError as error:
                self._after(error, instance)
                failed = instance, error.kind
            finally:
                self._balancer.queue.dispatch()

    async def _choose(self) -> InstanceState:
        """Choose an instance, and begin an attempt there. Raises RefusedError."""
        balancer, now = self._balancer, time.monotonic()
        if now >= self._deadline:
            raise self._refusal(
                grpc.StatusCode.DEADLINE_EXCEEDED, self._with_failures("the call's time is over")
            )
        instance = balancer.choose(now, self._tried)
        if instance is not None:
            balancer.instances.started(instance, now)
            return instance
        if not balancer.instances.saturated(self._tried):
            details = "all instances failed" if self._tried else "no instance is left"
            raise self._refusal(grpc.StatusCode.UNAVAILABLE, self._with_failures(details), retry_after_s=1)
        return await self._wait(now)

    async def _wait(self, now: float) -> InstanceState:
        try:
            async with asyncio.timeout(self._deadline - now):
                return await QueuedCall(self._balancer, self._tried).instance()
        except NoRoomError as error:
            raise self._refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error), retry_after_s=1) from error
        except TimeoutError as error:
            raise self._refusal(
                grpc.StatusCode.DEADLINE_EXCEEDED, "the call's time was over before an instance had room"
            ) from error

    async def _attempt(self, instance: InstanceState, begun: float) -> CallOutcome:
        """Return the outcome of the call at the instance. Raises WireError where there is none."""
        instances = self._balancer.instances
        timeout_s = min(self._balancer.try_timeout_s, self._deadline - begun)
        call = self._grpc_balancer.channels[instance].method(self._method)(
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
                self._note(failure, instance, begun, time.monotonic())
                raise failure from error
            told = tuple(error.initial_metadata()), tuple(error.trailing_metadata())
            outcome = CallOutcome(*told, code=error.code(), details=error.details() or "")
        except asyncio.CancelledError:
            now = time.monotonic()
            self._balancer.counters.released[instance.label] += 1
            instances.released(instance, begun, now)
            self._count(instance, grpc.StatusCode.CANCELLED, now)
            raise
        now = time.monotonic()
        instances.succeeded(instance, begun, now)
        self._count(instance, outcome.code, now)
        return outcome

    def _note(self, failure: WireError, instance: InstanceState, begun: float, now: float) -> None:
        """Record the failure in the counters, in the instance's health, and for the client's details."""
        timed_out = failure.kind is FailureKind.READ_TIMEOUT
        hurried = timed_out and now - begun < self._balancer.try_timeout_s - _SLACK_S
        # A client's impatience says nothing about the instance.
        cause = FailureCause.NONE if hurried else cause_of(failure)
        self._balancer.counters.failures[instance.label, failure.kind] += 1
        self._balancer.instances.failed(instance, begun, now, cause)
        self._failures.append(f"{instance.label} {failure.kind}")

    def _after(self, failure: WireError, instance: InstanceState) -> None:
        """Go on after a failed attempt. Raises RefusedError unless the call may be tried elsewhere."""
        balancer, now = self._balancer, time.monotonic()
        timed_out = failure.kind is FailureKind.READ_TIMEOUT
        if timed_out and now + _SLACK_S >= self._deadline:
            raise self._refusal(
                grpc.StatusCode.DEADLINE_EXCEEDED, self._with_failures("the call's time is over")
            )
        budget = balancer.budget_after(self._tried)
        rules = self._grpc_balancer.rules(self._method)
        decision = after_failure(failure, rules, budget, now, replayable=True)
        if decision is RetryDecision.RETRY:
            return
        balancer.on_event(Event(EventKind.DENIED, now, instance, decision))
        code = grpc.StatusCode.DEADLINE_EXCEEDED if timed_out else grpc.StatusCode.UNAVAILABLE
        raise self._refusal(code, self._with_failures(f"not tried again: {decision.replace('_', ' ')}"))

    def _count(self, by: InstanceState | None, code: grpc.StatusCode, now: float) -> None:
        """Count the call, which is over."""
        self._balancer.counters.answered(by, code.value[0], now - self._begun)

    def _with_failures(self, details: str) -> str:
        return f"{details} (tried: {', '.join(self._failures)})" if self._failures else details

    def _refusal(self, code: grpc.StatusCode, details: str, retry_after_s: int | None = None) -> RefusedError:
        self._count(None, code, time.monotonic())
        metadata = {ANSWERED_BY: self._balancer.settings.name}
        if retry_after_s is not None:
            metadata[RETRY_AFTER] = str(retry_after_s)
        return RefusedError(code, f"{self._balancer.settings.service}: {details}", metadata)
