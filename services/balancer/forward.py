"""One request on its way: to one instance after another, until one answers."""

from __future__ import annotations

import time

from services.balancer.attempt import Attempt, ResponseSink
from services.balancer.balancer import LoadBalancer
from services.balancer.events import Event, EventKind
from services.balancer.health import FailureCause, blame
from services.balancer.http.bodies import Upload
from services.balancer.http.request_head import RequestHead
from services.balancer.http.response_head import UNTIL_CLOSE, AnswerHead
from services.balancer.instances import InstanceState
from services.balancer.retries import RetryDecision, after_failure, after_status
from services.wire import FailureKind, NotConnected, NotSent, WireError

__all__ = ["ABANDONED", "Forward"]

ABANDONED = 499
"""What a request counts as whose client went away before the answer (nginx's number for it)."""


class Forward:
    """The attempts at one request: where they go, and what comes after one that failed.

    Lives from `start` until the client was told `done`, `refuse` or `abort`, or until `cancel`.
    """

    # Defaults, so that beginning costs no more than what it sets.
    _attempt: Attempt | None = None
    """The present one; none while the request waits for room, and once it is over."""
    _failures: tuple[str, ...] = ()
    _over = _waiting = _slowed = False

    def __init__(
        self,
        core: LoadBalancer,
        client: ResponseSink,
        head: RequestHead,
        body: bytes,
        kept: bool,
        uploaded: bool,
    ) -> None:
        """`body` is what has come of it so far: all, if `uploaded`, as it is if it is `kept`."""
        self.tried: tuple[InstanceState, ...] = ()
        self.core = core
        self.client = client
        self.head = head
        self.body = body
        self.upload = None if kept else Upload(head.length, body, uploaded)
        self._begun = now = time.monotonic()
        self.deadline = now + core.total_timeout_s
        if head.deadline_ms is not None:
            self.deadline = min(self.deadline, now + head.deadline_ms / 1000)
        self.request_id = head.request_id or core.new_id()
        self._again: tuple[InstanceState, str] | None = None
        """Who failed it last and how, while it is to be tried elsewhere but nobody knows yet where."""

    @property
    def passing(self) -> bool:
        """Whether some of the answer was passed on."""
        return self._attempt is not None and self._attempt.passing

    def start(self) -> None:
        """Begin the first attempt."""
        self.core.budget.request()
        self._try(self._begun)

    def cancel(self, refused: int = 0) -> None:
        """Nobody wants the answer any more: the client went away, or was `refused` with that status."""
        if self._over:
            return
        core, attempt = self.core, self._attempt
        now = self._finish()
        if self._waiting:
            core.line.leave(self)
            core.deadlines.forget(self)
        by = None
        if attempt is not None:
            attempt.give_up()
            core.counts.released[attempt.instance.label] += 1
            core.roster.released(attempt.instance, attempt.begun, now)
            by = None if refused else attempt.instance
        core.counts.answered(by, refused or ABANDONED, now - self._begun)
        core.line.move()

    def feed(self, data: bytes, last: bool) -> None:
        """More of the body came. Whoever feeds may do so at any time, but heed `pause_upload`."""
        assert self.upload is not None
        self.upload.add(data, last)
        if self._attempt is None or not self._attempt.send_more(self.upload):
            self.client.pause_upload()

    def pause(self) -> None:
        """The client takes in the answer too slowly."""
        self._slowed = True
        if self._attempt is not None:
            self._attempt.pause()

    def resume(self) -> None:
        """The client has caught up."""
        if self._attempt is not None:
            self._attempt.resume()

    # Where to.

    def _try(self, now: float) -> None:
        core = self.core
        if now >= self.deadline:
            self._refuse(504, self._story("the request's time is over"))
            return
        instance = core.choose(now, self.tried)
        if instance is not None:
            self._go(instance, now)
        elif core.roster.saturated(self.tried):
            if core.line.join(self):
                self._waiting = True
                core.deadlines.watch(self, self.deadline)
            else:
                self._refuse(503, "no instance has room, and too many requests wait for it", 1)
        else:
            self._refuse(503, self._story("all instances failed" if self.tried else "no instance is left"), 1)

    def _go(self, instance: InstanceState, now: float) -> None:
        core = self.core
        if self._again is not None:
            core.hear(Event(EventKind.RETRIED, now, *self._again))
            self._again = None
        self.tried += (instance,)
        core.roster.started(instance, now)
        pool = core.pools[instance]
        connection = pool.take()
        self._attempt = attempt = Attempt(self, instance, pool, now)
        if connection is not None:
            attempt.send(connection, now)
        else:
            attempt.open()

    # What the line calls while the request waits for room.

    def on_room(self, instance: InstanceState) -> None:
        """Go there."""
        if self._waiting:
            self._waiting = False
            self.core.deadlines.forget(self)
        self._go(instance, time.monotonic())

    def on_queued_out(self) -> None:
        """No instance had room in time."""
        self._waiting = False
        self.core.deadlines.forget(self)
        self._refuse(503, f"no instance had room within {self.core.settings.queue_timeout_s:g} s", 1)

    def on_deadline(self) -> None:
        """The time for the whole request is over while it waits for room."""
        self._waiting = False
        self.core.line.leave(self)
        self._refuse(504, "the request's time was over before an instance had room")

    # What the attempt calls.

    def served(self, answer: AnswerHead, last: bytes) -> None:
        """The instance has answered, and this is the last that the client gets of it."""
        attempt, self._attempt = self._attempt, None
        assert attempt is not None
        self._over = True
        core, now = self.core, time.monotonic()
        core.roster.succeeded(attempt.instance, attempt.begun, now)
        core.counts.answered(attempt.instance, answer.status, now - self._begun)
        if core.line.anyone:
            core.line.move()
        self.client.done(last, now, answer.length == UNTIL_CLOSE)

    def turns_down(self, status: int) -> bool:
        """Whether this answer is taken for a failure, and the request tried elsewhere."""
        core, attempt, now = self.core, self._attempt, time.monotonic()
        budget = core.budget_after(self.tried)
        verdict = after_status(status, core.rules(self.head), budget, now, replayable=self.upload is None)
        if verdict is not None and verdict is not RetryDecision.RETRY:
            core.hear(Event(EventKind.DENIED, now, attempt.instance if attempt else None, verdict))
        return verdict is RetryDecision.RETRY

    def turned_down(self, status: int) -> None:
        """That answer has come to its end: on to another instance."""
        attempt = self._attempt
        assert attempt is not None
        kind = f"status_{status}"
        self._note(attempt, kind, time.monotonic(), FailureCause.FAILED)
        self._begin_anew(attempt.instance, kind)
        self.core.line.move()

    def failed(self, error: WireError) -> None:
        """There is no whole answer: tell the client, or try elsewhere."""
        attempt = self._attempt
        assert attempt is not None
        core, now = self.core, time.monotonic()
        timed_out = error.kind is FailureKind.READ_TIMEOUT
        spent = timed_out and now + 0.002 >= self.deadline
        if spent and self._slowed:  # by the client, which took too long to take it all in
            self.client.abort()
            return
        starved = timed_out and not attempt.held_up and self.upload is not None and not self.upload.whole
        hurried = timed_out and now - attempt.begun < core.try_timeout_s - 0.01
        # Neither a client's slowness nor its impatience says anything of the instance.
        blamed = FailureCause.NONE if starved or hurried or (spent and attempt.passing) else blame(error)
        self._note(attempt, error.kind, now, blamed)
        if attempt.passing:
            self._finish()
            status = attempt.download.head.status if attempt.download else 0
            core.counts.answered(attempt.instance, status, now - self._begun)
            self.client.abort()
        elif spent:
            self._refuse(504, self._story("the request's time is over"))
        elif starved:
            self._refuse(408, self._story("the body did not come in time"))
        else:
            self._next(error, attempt.instance, now)
        core.line.move()

    # What comes after a failed attempt.

    def _note(self, attempt: Attempt, kind: str, now: float, blamed: FailureCause) -> None:
        """Let all know who has to: the counts, the roster, and at last perhaps the client."""
        label = attempt.instance.label
        self.core.counts.failures[label, kind] += 1
        self.core.roster.failed(attempt.instance, attempt.begun, now, blamed)
        self._failures += (f"{label} {kind}",)

    def _next(self, error: WireError, instance: InstanceState, now: float) -> None:
        core = self.core
        replayable = self.upload is None or isinstance(error, NotConnected | NotSent)
        budget = core.budget_after(self.tried)
        verdict = after_failure(error, core.rules(self.head), budget, now, replayable=replayable)
        if verdict is RetryDecision.RETRY:
            if isinstance(error, NotSent):
                self.tried = self.tried[:-1]  # only that one connection had been closed
            self._begin_anew(instance, error.kind)
        else:
            core.hear(Event(EventKind.DENIED, now, instance, verdict))
            status = 504 if error.kind is FailureKind.READ_TIMEOUT else 502
            self._refuse(status, self._story(f"not tried again: {verdict.replace('_', ' ')}"))

    def _begin_anew(self, failed: InstanceState, reason: str) -> None:
        self._again = failed, reason
        self._attempt = None
        self._try(time.monotonic())

    def _refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        now = self._finish()
        self.core.counts.answered(None, status, now - self._begun)
        self.client.refuse(status, f"{self.core.settings.service}: {detail}", retry_after_s)

    def _story(self, verdict: str) -> str:
        return f"{verdict} (tried: {', '.join(self._failures)})" if self._failures else verdict

    def _finish(self) -> float:
        self._over = True
        self._attempt = None  # each holds the other, which would keep the body until it is next cleaned up
        return time.monotonic()
