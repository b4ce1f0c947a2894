"""One request on its way: to one instance after another, until one of them answers."""

from __future__ import annotations

import asyncio
import time
from enum import Enum, auto

from services.balancer.attempt import Attempt, ResponseSink
from services.balancer.balancer import LoadBalancer
from services.balancer.counters import AttemptEnd
from services.balancer.events import Event, EventKind
from services.balancer.health import EJECTED, FailureCause, State, cause_of
from services.balancer.http.request import RequestHead, Upload
from services.balancer.http.response import UNTIL_CLOSE, ResponseHead
from services.balancer.instances import InstanceState
from services.balancer.retries import RetryDecision, after_failure, after_status
from services.wire import SHORTAGES, FailureKind, NotConnected, NotSent, WireError

__all__ = ["ABANDONED", "Forward", "ForwardState"]

ABANDONED = 499
"""The status that a request counts as whose client went away before the response (nginx's number)."""
SWITCHED = 101


class ForwardState(Enum):
    """Where a request stands between `start` and its end."""

    ATTEMPTING = auto()
    """An attempt is under way, or the next instance is being chosen."""
    QUEUED = auto()
    """The request waits for an instance with room."""
    ENDED = auto()
    """The client got its response, or went away."""


_ATTEMPTING, _QUEUED, _ENDED = ForwardState


class Forward:
    """The attempts at one request: where they go, and what follows one that failed.

    A Forward lives from `start` until it told its sink `done`, `refuse` or `abort`, or until `cancel`:

        start ─► ATTEMPTING ─ no room ─► QUEUED ─ room ─► ATTEMPTING
        ATTEMPTING ─ attempt failed, retry ─► ATTEMPTING
        ATTEMPTING ─ served, refused, cancelled ─► ENDED
        QUEUED ─ timed out, cancelled ─► ENDED
    """

    # Defaults, so that beginning costs no more than what it sets.
    _state = _ATTEMPTING
    _attempt: Attempt | None = None
    """The present attempt; None while the request is QUEUED, and once it has ENDED."""
    _failures: tuple[str, ...] = ()
    _slowed = False
    """Whether the client ever took in the response too slowly."""
    _short = ""
    """What the balancer itself ran out of over this request, in words."""

    def __init__(
        self,
        balancer: LoadBalancer,
        sink: ResponseSink,
        head: RequestHead,
        body: bytes,
        kept: bool,
        uploaded: bool,
    ) -> None:
        """Prepare to forward a request. `body` is what has come of its body: all of it, if `uploaded`.

        A body that is `kept` is sent anew with each attempt; any other is sent once, as it comes.
        """
        self.tried: tuple[InstanceState, ...] = ()
        self.balancer = balancer
        self.sink = sink
        self.head = head
        self.body = body
        self.upload = None if kept else Upload(head.length, body, uploaded)
        self._begun = now = time.monotonic()
        self.deadline = now + balancer.total_timeout_s
        if head.deadline_ms is not None:
            self.deadline = min(self.deadline, now + head.deadline_ms / 1000)
        self.request_id = head.request_id or balancer.new_id()
        self._again: tuple[InstanceState, str] | None = None
        """The instance that failed the request last, and how, until the next attempt begins."""

    @property
    def passing(self) -> bool:
        """Whether some of the response was passed on."""
        return self._attempt is not None and self._attempt.passing

    def start(self) -> None:
        """Begin the first attempt."""
        self.balancer.budget.requests += 1
        self._try(self._begun)

    def cancel(self, refused: int = 0) -> None:
        """End the request: its client went away, or was `refused` with that status."""
        if self._state is _ENDED:
            return
        balancer, attempt, queued = self.balancer, self._attempt, self._state is _QUEUED
        now = self._finish()
        if queued:
            balancer.queue.leave(self)
            balancer.deadlines.forget(self)
        by = None
        if attempt is not None:
            attempt.give_up()
            self._acquit(attempt, AttemptEnd.ABANDONED, now)
            by = None if refused else attempt.instance
        balancer.counters.answered(by, refused or ABANDONED, now - self._begun)
        balancer.queue.dispatch()

    def feed(self, data: bytes, last: bool) -> None:
        """Send more of the body. The caller may do so at any time, but should obey `pause_upload`."""
        assert self.upload is not None
        self.upload.add(data, last)
        if self._attempt is None or not self._attempt.send_more(self.upload):
            self.sink.pause_upload()

    def pause(self) -> None:
        """Stop reading the response: the client takes it in too slowly."""
        self._slowed = True
        if self._attempt is not None:
            self._attempt.pause()

    def resume(self) -> None:
        """Read on: the client has caught up."""
        if self._attempt is not None:
            self._attempt.resume()

    def vacate(self, instance: InstanceState) -> None:
        """Go elsewhere from an instance that is down, if it has begun no answer and twice does no harm.

        As long as no other is fit, or the budget for retries is spent, the request stays where it is.
        """
        attempt, balancer = self._attempt, self.balancer
        if attempt is None or attempt.instance is not instance or not attempt.unanswered:
            return
        now = time.monotonic()
        fit = self._may_repeat and balancer.instances.fit_beside(self.tried)
        if fit and balancer.budget.spend(now):
            attempt.give_up()
            self._note(attempt, EJECTED, now, FailureCause.NONE)
            self._begin_anew(instance, EJECTED)

    # Where to.

    def _try(self, now: float) -> None:
        balancer = self.balancer
        if now >= self.deadline:
            self._refuse(504, self._with_failures("the request's time is over"))
            return
        instance = balancer.choose(now, self.tried)
        if instance is not None:
            self._go(instance, now)
        elif balancer.instances.saturated(self.tried):
            if balancer.queue.join(self, now):
                self._state = _QUEUED
                balancer.deadlines.watch(self, self.deadline)
            else:
                self._refuse(503, "no instance has room, and too many requests wait for it", 1)
        else:
            detail = "all instances failed" if self.tried else "no instance is left"
            self._refuse(503, self._with_failures(self._short or detail), 1)

    def _go(self, instance: InstanceState, now: float, fresh: bool = False) -> None:
        balancer = self.balancer
        if self._again is not None:
            balancer.on_event(Event(EventKind.RETRIED, now, *self._again))
            self._again = None
        self.tried += (instance,)
        balancer.instances.started(instance, now)
        pool = balancer.pools[instance]
        connection = None if fresh else pool.take()
        self._attempt = attempt = Attempt(self, instance, pool, now)
        if connection is not None:
            attempt.send(connection, now)
        else:
            attempt.open()

    # What the queue and the deadlines call while the request is QUEUED.

    def on_room(self, instance: InstanceState) -> None:
        """Begin an attempt at `instance`, which has room."""
        if self._state is _QUEUED:
            self._state = _ATTEMPTING
            self.balancer.deadlines.forget(self)
        self._go(instance, time.monotonic())

    def on_queue_timeout(self) -> None:
        """Refuse the request: no instance had room in time."""
        self.balancer.deadlines.forget(self)
        self._refuse(503, f"no instance had room within {self.balancer.settings.queue_timeout_s:g} s", 1)

    def on_deadline(self) -> None:
        """Refuse the request: its whole time is over while it waits for room."""
        self.balancer.queue.leave(self)
        self._refuse(504, "the request's time was over before an instance had room")

    # What the attempt calls.

    def served(self, response: ResponseHead, last: bytes) -> None:
        """End the request: an instance has answered, and `last` is the rest of what the client gets."""
        attempt, self._attempt = self._attempt, None
        assert attempt is not None
        self._state = _ENDED
        balancer, now = self.balancer, time.monotonic()
        balancer.instances.succeeded(attempt.instance, attempt.begun, now)
        balancer.counters.answered(attempt.instance, response.status, now - self._begun)
        if balancer.queue.nonempty:
            balancer.queue.dispatch()
        self.sink.done(last, now, response.length == UNTIL_CLOSE)

    def switched(self, head: bytes, instance: asyncio.Transport, data: bytes) -> None:
        """Let client and instance speak to each other: the request is answered, and goes nowhere else."""
        attempt, balancer = self._attempt, self.balancer
        assert attempt is not None
        now = self._finish()
        state = attempt.instance
        balancer.instances.switched(state, attempt.begun, now)
        balancer.counters.answered(state, SWITCHED, now - self._begun)

        def ended() -> None:
            balancer.instances.tunnel_ended(state, time.monotonic())
            balancer.queue.dispatch()

        self.sink.tunnel(head, instance, data, ended)

    def retries_on(self, status: int) -> bool:
        """Decide whether a response with this status is taken for a failure, and tried elsewhere."""
        balancer, attempt, now = self.balancer, self._attempt, time.monotonic()
        budget = balancer.budget_after(self.tried)
        decision = after_status(
            status, balancer.rules(self.head), budget, now, replayable=self.upload is None
        )
        if decision is not None and decision is not RetryDecision.RETRY:
            instance = attempt.instance if attempt else None
            balancer.on_event(Event(EventKind.DENIED, now, instance, decision))
        return decision is RetryDecision.RETRY

    def failed_with_status(self, status: int) -> None:
        """Try another instance: the response that is taken for a failure has come to its end."""
        attempt = self._attempt
        assert attempt is not None
        kind = f"status_{status}"
        self._note(attempt, kind, time.monotonic(), FailureCause.FAILED)
        self._begin_anew(attempt.instance, kind)
        self.balancer.queue.dispatch()

    def failed(self, error: WireError) -> None:
        """Tell the client, or try another instance: there is no whole response."""
        attempt = self._attempt
        assert attempt is not None
        balancer, now = self.balancer, time.monotonic()
        stale = attempt.met_closing(error)
        if error.kind in SHORTAGES:
            self._fall_short(attempt, error, now)
            return
        if stale and (isinstance(error, NotSent) or self._may_repeat):
            self._renew(attempt, now)
            return
        timed_out = error.kind is FailureKind.READ_TIMEOUT
        spent = timed_out and now + 0.002 >= self.deadline
        if spent and self._slowed:  # by the client, which took too long to take it all in
            self.sink.abort()
            return
        starved = timed_out and not attempt.held_up and self.upload is not None and not self.upload.whole
        hurried = spent and now - attempt.begun < balancer.try_timeout_s - 0.01
        if starved or hurried:  # neither a client's slowness nor its impatience is the instance's failure
            self._acquit(attempt, AttemptEnd.STARVED if starved else AttemptEnd.LATE, now)
            self._failures += (f"{attempt.instance.label} {error.kind}",)
        else:
            says_nothing = stale or (spent and attempt.passing)
            self._note(attempt, error.kind, now, FailureCause.NONE if says_nothing else cause_of(error))
        if attempt.passing:
            self._cut_off(attempt)
        elif spent:
            self._refuse(504, self._with_failures("the request's time is over"))
        elif starved:
            self._refuse(408, self._with_failures("the body did not come in time"))
        else:
            self._next(error, attempt.instance, now)
        balancer.queue.dispatch()

    # What follows a failed attempt.

    @property
    def _may_repeat(self) -> bool:
        """Whether the request was kept, and twice does no harm."""
        return self.upload is None and self.balancer.rules(self.head).idempotent

    def _acquit(self, attempt: Attempt, end: AttemptEnd, now: float) -> None:
        """Record an attempt that ended by no doing of its instance."""
        self.balancer.counters.unjudged[attempt.instance.label, end] += 1
        self.balancer.instances.released(attempt.instance, attempt.begun, now)

    def _renew(self, attempt: Attempt, now: float) -> None:
        """Go once more to the same instance, over a new connection: the kept one was being closed there.

        That is an attempt more, and neither a failure of the instance nor a retry to be paid for.
        """
        instance, balancer = attempt.instance, self.balancer
        up = instance in balancer.instances and balancer.instances.state(instance) is not State.EJECTED
        self._acquit(attempt, AttemptEnd.STALE, now)
        self._attempt = None
        self._again = instance, AttemptEnd.STALE
        if up:
            self.tried = self.tried[:-1]
            self._go(instance, now, fresh=True)
        else:
            self._try(now)
            balancer.queue.dispatch()

    def _fall_short(self, attempt: Attempt, error: WireError, now: float) -> None:
        """Go on where the balancer itself ran out of something, for which the instance is not to blame."""
        balancer, instance = self.balancer, attempt.instance
        short, self._short = self._short, balancer.fell_short(error.kind)
        if not isinstance(error, NotConnected):
            self._acquit(attempt, AttemptEnd.SHORT, now)
            if attempt.passing:
                self._cut_off(attempt)
            else:
                self._refuse(502, f"{self._short}, with the request on its way to {instance.label}")
        else:
            self._attempt = None
            balancer.instances.withdrawn(instance, attempt.begun, now)
            if error.kind is FailureKind.NO_LOCAL_PORT:  # there may be some for other addresses
                self._try(now)
            elif not short and balancer.make_room():
                self.tried = self.tried[:-1]
                self._try(now)
            else:
                self._refuse(503, self._with_failures(self._short), 1)
        balancer.queue.dispatch()

    def _note(self, attempt: Attempt, kind: str, now: float, cause: FailureCause) -> None:
        """Record the failure in the counters, in the instance's health, and for the client's detail."""
        label = attempt.instance.label
        self.balancer.counters.failures[label, kind] += 1
        self.balancer.instances.failed(attempt.instance, attempt.begun, now, cause)
        self._failures += (f"{label} {kind}",)
        self._short = ""

    def _cut_off(self, attempt: Attempt) -> None:
        """End the request in the middle of its response."""
        now = self._finish()
        status = attempt.download.head.status if attempt.download else 0
        self.balancer.counters.answered(attempt.instance, status, now - self._begun)
        self.sink.abort()

    def _next(self, error: WireError, instance: InstanceState, now: float) -> None:
        balancer = self.balancer
        replayable = self.upload is None or isinstance(error, NotConnected | NotSent)
        budget = balancer.budget_after(self.tried)
        decision = after_failure(error, balancer.rules(self.head), budget, now, replayable=replayable)
        if decision is RetryDecision.RETRY:
            self._begin_anew(instance, error.kind)
        else:
            balancer.on_event(Event(EventKind.DENIED, now, instance, decision))
            status = 504 if error.kind is FailureKind.READ_TIMEOUT else 502
            self._refuse(status, self._with_failures(f"not tried again: {decision.replace('_', ' ')}"))

    def _begin_anew(self, failed: InstanceState, reason: str) -> None:
        self._again = failed, reason
        self._attempt = None
        self._try(time.monotonic())

    def _refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        now = self._finish()
        self.balancer.counters.answered(None, status, now - self._begun)
        self.sink.refuse(status, f"{self.balancer.settings.service}: {detail}", retry_after_s)

    def _with_failures(self, detail: str) -> str:
        return f"{detail} (tried: {', '.join(self._failures)})" if self._failures else detail

    def _finish(self) -> float:
        self._state = _ENDED
        self._attempt = None  # each holds the other, which would keep the body until it is next cleaned up
        return time.monotonic()
