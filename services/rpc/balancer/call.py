"""One call on its way: to one instance after another, until one of them answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from math import inf

import grpc

from services.balancer.balancer import LoadBalancer
from services.balancer.counters import AttemptEnd
from services.balancer.events import Event, EventKind
from services.balancer.health import EJECTED, FailureCause, cause_of
from services.balancer.instances import InstanceState
from services.balancer.retries import RetryDecision, after_failure
from services.rpc.balancer.balancer import GrpcLoadBalancer
from services.rpc.server import Metadata
from services.rpc.statuses import ANSWERED_BY, RETRY_AFTER, RefusedError, failure_of
from services.wire.errors import SHORTAGES, FailureKind, WireError

__all__ = ["CallOutcome", "GrpcForward", "NoRoomError", "QueuedCall"]


class NoRoomError(Exception):
    """No instance had room, and there was none to wait for or the wait was too long."""


class QueuedCall:
    """A call in the balancer's queue. Tell the InstanceSet how the attempt at the instance it gets ends."""

    def __init__(self, balancer: LoadBalancer, tried: list[InstanceState]) -> None:
        self.tried = tried
        self._balancer = balancer
        self._given: asyncio.Future[InstanceState | None] = balancer.loop.create_future()
        """None where the call waited too long: an error in it would hold this call, and be held by it."""

    async def instance(self) -> InstanceState:
        """Wait for the instance to call, and begin an attempt there. Raises NoRoomError."""
        if not self._balancer.queue.join(self, time.monotonic()):
            raise NoRoomError("no instance has room, and too many calls wait for it")
        try:
            instance = await self._given
        except asyncio.CancelledError:
            self._balancer.queue.leave(self)
            given = None if self._given.cancelled() or not self._given.done() else self._given.result()
            if given is not None:  # at the same moment
                now = time.monotonic()
                self._balancer.instances.withdrawn(given, now, now)
                self._balancer.queue.dispatch()
            raise
        if instance is None:
            timeout_s = self._balancer.settings.queue_timeout_s
            raise NoRoomError(f"no instance had room within {timeout_s:g} s")
        return instance

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
            self._given.set_result(None)


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
        self._call: grpc.aio.UnaryUnaryCall[bytes, bytes] | None = None
        self._vacated = False
        """Whether the present call was cancelled because its instance is down."""

    async def answer(self) -> CallOutcome:
        """Return the outcome at the first instance that answers. Raises RefusedError where none does."""
        self._grpc_balancer.calls.add(self)
        try:
            return await self._answer()
        finally:
            self._grpc_balancer.calls.discard(self)

    def vacate(self, instance: InstanceState) -> None:
        """Go elsewhere from an instance that is down, as services.balancer's Forward does."""
        if self._call is None or self._tried[-1] is not instance or self._vacated:
            return
        fit = self._grpc_balancer.rules(self._method).idempotent
        fit = fit and self._balancer.instances.fit_beside(self._tried)
        if fit and self._balancer.budget.spend(time.monotonic()):
            self._vacated = True
            self._call.cancel()

    async def _answer(self) -> CallOutcome:
        self._balancer.budget.requests += 1
        failed: tuple[InstanceState, str] | None = None
        while True:
            instance = await self._choose()
            begun = time.monotonic()
            if failed is not None:
                self._balancer.on_event(Event(EventKind.RETRIED, begun, *failed))
            self._tried.append(instance)
            try:
                outcome = await self._attempt(instance, begun)
                if isinstance(outcome, CallOutcome):
                    return outcome
                if isinstance(outcome, WireError):
                    self._after(outcome, instance)
                    failed = instance, outcome.kind
                else:
                    failed = instance, EJECTED
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

    async def _attempt(self, instance: InstanceState, begun: float) -> CallOutcome | WireError | None:
        """Return the outcome of the call at the instance, or why there is none; None where it was vacated.

        An error that was raised would hold this frame, and with it the request, until garbage is collected.
        """
        instances = self._balancer.instances
        timeout_s = min(self._balancer.try_timeout_s, self._deadline - begun)
        self._vacated = False
        call = self._call = self._grpc_balancer.channels[instance].method(self._method)(
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
                return failure
            told = tuple(error.initial_metadata()), tuple(error.trailing_metadata())
            outcome = CallOutcome(*told, code=error.code(), details=error.details() or "")
        except asyncio.CancelledError:
            now = time.monotonic()
            task = asyncio.current_task()
            if self._vacated and task is not None and not task.cancelling():
                self._fail(EJECTED, instance, begun, now, FailureCause.NONE)
                return None
            self._acquit(AttemptEnd.ABANDONED, instance, begun, now)
            self._count(instance, grpc.StatusCode.CANCELLED, now)
            raise
        finally:
            self._call = None
        now = time.monotonic()
        instances.succeeded(instance, begun, now)
        self._count(instance, outcome.code, now)
        return outcome

    def _note(self, failure: WireError, instance: InstanceState, begun: float, now: float) -> None:
        """Record the failure in the counters, in the instance's health, and for the client's details."""
        timed_out = failure.kind is FailureKind.READ_TIMEOUT
        if failure.kind in SHORTAGES:
            self._balancer.instances.withdrawn(instance, begun, now)
        elif timed_out and now - begun < self._balancer.try_timeout_s - _SLACK_S:
            # A client's impatience is not the instance's failure.
            self._acquit(AttemptEnd.LATE, instance, begun, now)
            self._failures.append(f"{instance.label} {failure.kind}")
        else:
            self._fail(failure.kind, instance, begun, now, cause_of(failure))

    def _fail(
        self, kind: str, instance: InstanceState, begun: float, now: float, cause: FailureCause
    ) -> None:
        self._balancer.counters.failures[instance.label, kind] += 1
        self._balancer.instances.failed(instance, begun, now, cause)
        self._failures.append(f"{instance.label} {kind}")

    def _acquit(self, end: AttemptEnd, instance: InstanceState, begun: float, now: float) -> None:
        """Record an attempt that ended by no doing of its instance."""
        self._balancer.counters.unjudged[instance.label, end] += 1
        self._balancer.instances.released(instance, begun, now)

    def _after(self, failure: WireError, instance: InstanceState) -> None:
        """Go on after a failed attempt. Raises RefusedError unless the call may be tried elsewhere."""
        balancer, now = self._balancer, time.monotonic()
        if failure.kind in SHORTAGES:
            short = balancer.fell_short(failure.kind)
            raise self._refusal(grpc.StatusCode.UNAVAILABLE, self._with_failures(short), retry_after_s=1)
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
