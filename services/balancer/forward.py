"""One request on its way: to one instance after another, until one answers."""

from __future__ import annotations

import time

from services.balancer.blame import Blame, blame
from services.balancer.client import Client
from services.balancer.core import Core
from services.balancer.events import Event, EventKind
from services.balancer.framing import CHUNKED, RequestHead
from services.balancer.instances import Instance
from services.balancer.retries import Verdict, after_failure, after_status
from services.balancer.rewriting import UNTIL_CLOSE, AnswerHead, answer_head, length_line
from services.wire import (
    BrokenAnswer,
    Connection,
    Exchange,
    FailureKind,
    Headers,
    NotConnected,
    NotSent,
    Opening,
    Pool,
    WireError,
)

__all__ = ["ABANDONED", "Forward"]

ABANDONED = 499
"""What a request counts as whose client went away before the answer (nginx's number for it)."""

HELD_BYTES = 16 * 1024
"""An answer up to this long is passed on in one piece."""


class Forward(Exchange):
    """The attempts at one request. `body` is what has come of it so far: all, if `uploaded`.

    Where it is `kept`, it is sent anew with each attempt. Else it can be sent only once.

    Lives from `start` until the client was told `done`, `refuse` or `abort`, or until `cancel`.
    """

    # Defaults, so that beginning costs no more than what it sets.
    _instance: Instance | None = None
    _pool: Pool | None = None
    _opening: Opening | None = None
    _connection: Connection | None = None
    _broken: BrokenAnswer | None = None
    _answer: AnswerHead | None = None
    _failures: tuple[str, ...] = ()
    _again: tuple[Instance, str] | None = None
    """Who failed it last and how, while it is to be tried elsewhere but nobody knows yet where."""
    _received = 0
    _status = 0  # of an answer that is taken for a failure
    _passing = _over = _waiting = _held_up = _slowed = False

    def __init__(
        self, core: Core, client: Client, head: RequestHead, body: bytes, kept: bool, uploaded: bool
    ) -> None:
        self.tried: tuple[Instance, ...] = ()
        self._core = core
        self._client = client
        self._head = head
        self._upload = body
        """The body where all of it is kept; else what of it is still to be sent."""
        self._kept = kept
        self._uploaded = uploaded
        self._begun = now = time.monotonic()
        self._deadline = now + core.total_timeout_s
        if head.deadline_ms is not None:
            self._deadline = min(self._deadline, now + head.deadline_ms / 1000)
        self._request_id = head.request_id or core.new_id()
        self._out: list[bytes] = []

    @property
    def passing(self) -> bool:
        """Whether some of the answer was passed on."""
        return self._passing

    def start(self) -> None:
        """Begin the first attempt."""
        self._core.budget.request()
        self._attempt(self._begun)

    def cancel(self) -> None:
        """The client went away: nobody wants the answer any more."""
        if self._over:
            return
        now = self._finish()
        if self._waiting:
            self._core.line.leave(self)
            self._core.deadlines.forget(self)
        if self._opening is not None:
            self._opening.cancel()
        if self._connection is not None:
            self._connection.abort()
        if self._instance is not None:
            self._core.counts.released[self._instance.label] += 1
            self._core.roster.released(self._instance, self._attempt_begun, now)
        self._core.counts.answered(self._instance, ABANDONED, now - self._begun)
        self._core.line.move()

    # The body, where it is too long to be kept.

    def feed(self, data: bytes, last: bool) -> None:
        """More of the body came. Whoever feeds may do so at any time, but heed `pause_upload`."""
        self._uploaded = last
        if self._connection is None:
            self._upload += data
            self._client.pause_upload()
            return
        self._connection.write(self._framed(data, last))
        if last:
            self._connection.finish()

    def pause(self) -> None:
        """The client takes in the answer too slowly; that is not the instance's fault."""
        self._slowed = True
        if self._connection is not None:
            self._connection.pause_reading()
            self._connection.set_deadline(self._deadline)

    def resume(self) -> None:
        """The client has caught up."""
        if self._connection is not None:
            self._connection.resume_reading()
            self._allow_more(self._connection)

    def _allow_more(self, connection: Connection) -> None:
        """There was progress: so long the instance may be silent, and the whole may take no longer."""
        connection.set_deadline(min(time.monotonic() + self._core.try_timeout_s, self._deadline))

    # An attempt.

    def on_room(self, instance: Instance) -> None:
        """Go there."""
        if self._waiting:
            self._waiting = False
            self._core.deadlines.forget(self)
        self._go(instance, time.monotonic())

    def _go(self, instance: Instance, now: float) -> None:
        if self._again is not None:
            self._core.hear(Event(EventKind.RETRIED, now, *self._again))
            self._again = None
        self._attempt_begun = now
        self._instance = instance
        self.tried += (instance,)
        self._core.roster.started(instance, now)
        self._pool = self._core.pools[instance]
        connection = self._pool.take()
        if connection is not None:
            self._send(connection, now)
        else:
            self._opening = self._pool.open(self._on_opened)

    def on_queued_out(self) -> None:
        """No instance had room in time."""
        self._waiting = False
        self._core.deadlines.forget(self)
        self._refuse(503, f"no instance had room within {self._core.settings.queue_timeout_s:g} s", 1)

    def on_deadline(self) -> None:
        """The time for the whole request is over while it waits for room."""
        self._waiting = False
        self._core.line.leave(self)
        self._refuse(504, "the request's time was over before an instance had room")

    def _attempt(self, now: float) -> None:
        core = self._core
        if now >= self._deadline:
            self._refuse(504, self._story("the request's time is over"))
            return
        instance = core.choose(now, self.tried)
        if instance is not None:
            self._go(instance, now)
        elif core.roster.saturated(self.tried):
            if core.line.join(self):
                self._waiting = True
                core.deadlines.watch(self, self._deadline)
            else:
                self._refuse(503, "no instance has room, and too many requests wait for it", 1)
        else:
            self._refuse(503, self._story("all instances failed" if self.tried else "no instance is left"), 1)

    def _on_opened(self, result: Connection | NotConnected) -> None:
        self._opening = None
        if isinstance(result, Connection):
            self._send(result, time.monotonic())
        else:
            self.on_failure(result)

    def _send(self, connection: Connection, now: float) -> None:
        self._connection = connection
        core, head, body = self._core, self._head, self._upload
        until = now + core.try_timeout_s
        allowed = core.try_deadline
        if until > self._deadline:
            until = self._deadline
            allowed = b"\r\nX-Request-Deadline-Ms: %d" % max(0, (until - now) * 1000)
        framing = head.framing
        if self._kept:
            if head.length == CHUNKED:
                framing = length_line(len(body))
        else:
            body = self._framed(body, self._uploaded)
        whence = self._client.provenance(head)
        request = b"".join((head.forwarded, whence, self._request_id, allowed, framing, body))
        connection.send(self, request, deadline=until, is_head=head.is_head, more=not self._uploaded)
        if self._kept:
            return
        if self._connection is connection:  # it was sent
            self._upload = b""
            self._client.resume_upload()

    def _framed(self, data: bytes, last: bool) -> bytes:
        """A piece of a body that is too long to be kept, as it goes to the instance."""
        if self._head.length != CHUNKED:
            return data
        return (b"%x\r\n%b\r\n" % (len(data), data) if data else b"") + (b"0\r\n\r\n" if last else b"")

    # What the connection to the instance calls.

    def on_whole(self, status: int, raw_head: bytes, body: bytes) -> bool:
        connection, instance, pool = self._connection, self._instance, self._pool
        if status in self._core.retry_statuses or connection is None or instance is None or pool is None:
            return False
        head = self._head
        answer = answer_head(raw_head, head.minor, self._client.keeps_alive(), head.is_head)
        if answer is None or not answer.length == answer.expected == len(body):
            return False
        self._connection = None
        pool.give_back(connection)
        self._served(instance, answer, answer.data + body)
        return True

    def on_head(self, status: int, headers: Headers) -> None:  # noqa: ARG002  (the raw head is faster)
        if status in self._core.retry_statuses and self._retries(status):
            return
        connection, head = self._connection, self._head
        if connection is None:
            return
        answer = answer_head(connection.raw_head, head.minor, self._client.keeps_alive(), head.is_head)
        if answer is None:
            self._break("a folded header, or a transfer coding that was not asked for")
            return
        self._answer = answer
        self._out.append(answer.data)

    def on_body(self, chunk: bytes) -> None:
        if self._answer is None:
            return
        self._received += len(chunk)
        if self._answer.length == CHUNKED:
            self._out += (b"%x\r\n" % len(chunk), chunk, b"\r\n")
        else:
            self._out.append(chunk)

    def on_flush(self) -> None:
        answer = self._answer
        if answer is None or not self._out or (0 <= answer.length <= HELD_BYTES and not self._passing):
            return
        self._passing = True
        data = b"".join(self._out)
        self._out.clear()
        if self._connection is not None:
            self._allow_more(self._connection)
        self._client.write(data)

    def on_complete(self) -> None:
        connection, instance, answer = self._connection, self._instance, self._answer
        if connection is None or instance is None or self._pool is None:
            return
        self._connection = None
        self._pool.give_back(connection)
        if answer is None:
            self._answered_badly(instance)
            return
        if answer.expected >= 0 and answer.expected != self._received:
            # Two readings of one answer: the client must not be left with either.
            self._passing = True
            self.on_failure(BrokenAnswer(FailureKind.PROTOCOL_ERROR, connection.peer, "two lengths"))
            return
        if answer.length == CHUNKED:
            self._out.append(b"0\r\n\r\n")
        self._served(instance, answer, b"".join(self._out))

    def _served(self, instance: Instance, answer: AnswerHead, last: bytes) -> None:
        """The instance has answered, and this is the last that the client gets of it."""
        self._over = True
        core, now = self._core, time.monotonic()
        core.roster.succeeded(instance, self._attempt_begun, now)
        core.counts.answered(instance, answer.status, now - self._begun)
        if core.line.anyone:
            core.line.move()
        self._client.done(last, now, answer.length == UNTIL_CLOSE)

    def on_failure(self, error: WireError) -> None:
        if self._over:
            return
        error = self._broken or error
        instance, self._connection, self._broken = self._instance, None, None
        assert instance is not None
        if self._status:  # at its head it was decided already to try elsewhere, and paid for
            self._answered_badly(instance)
            return
        core, now = self._core, time.monotonic()
        timed_out = error.kind is FailureKind.READ_TIMEOUT
        spent = timed_out and now + 0.002 >= self._deadline
        if spent and self._slowed:  # by the client, which took too long to take it all in
            self._client.abort()
            return
        starved = timed_out and not self._uploaded and not self._held_up
        hurried = timed_out and now - self._attempt_begun < core.try_timeout_s - 0.01
        # Neither a client's slowness nor its impatience says anything of the instance.
        blamed = Blame.NONE if starved or hurried or (spent and self._passing) else blame(error)
        core.counts.failures[instance.label, error.kind] += 1
        core.roster.failed(instance, self._attempt_begun, now, blamed)
        self._failures += (f"{instance.label} {error.kind}",)
        if self._passing:
            self._finish()
            core.counts.answered(instance, self._answer.status if self._answer else 0, now - self._begun)
            self._client.abort()
        elif spent:
            self._refuse(504, self._story("the request's time is over"))
        elif starved:
            self._refuse(408, self._story("the body did not come in time"))
        else:
            self._next(error, instance, now)
        core.line.move()

    def pause_writing(self) -> None:
        self._held_up = True
        self._client.pause_upload()

    def resume_writing(self) -> None:
        self._held_up = False
        self._client.resume_upload()

    # What comes after a failed attempt.

    def _next(self, error: WireError, instance: Instance, now: float) -> None:
        core = self._core
        replayable = self._kept or isinstance(error, NotConnected | NotSent)
        budget = core.budget_after(self.tried)
        verdict = after_failure(error, core.rules(self._head), budget, now, replayable=replayable)
        if verdict is Verdict.RETRY:
            if isinstance(error, NotSent):
                self.tried = self.tried[:-1]  # only that one connection had been closed
            self._begin_anew(instance, error.kind)
        else:
            core.hear(Event(EventKind.DENIED, now, instance, verdict))
            status = 504 if error.kind is FailureKind.READ_TIMEOUT else 502
            self._refuse(status, self._story(f"not tried again: {verdict.replace('_', ' ')}"))

    def _retries(self, status: int) -> bool:
        """Whether this answer is taken for a failure, and the request tried elsewhere."""
        core, now = self._core, time.monotonic()
        rules = core.rules(self._head)
        verdict = after_status(status, rules, core.budget_after(self.tried), now, replayable=self._kept)
        if verdict is not None and verdict is not Verdict.RETRY:
            core.hear(Event(EventKind.DENIED, now, self._instance, verdict))
        self._status = status if verdict is Verdict.RETRY else 0
        return verdict is Verdict.RETRY

    def _break(self, detail: str) -> None:
        """What came cannot be passed on."""
        if self._connection is not None:
            self._broken = BrokenAnswer(FailureKind.PROTOCOL_ERROR, self._connection.peer, detail)
            self._connection.abort()

    def _answered_badly(self, instance: Instance) -> None:
        """The route takes this status for a failure."""
        core, now = self._core, time.monotonic()
        kind = f"status_{self._status}"
        core.counts.failures[instance.label, kind] += 1
        core.roster.failed(instance, self._attempt_begun, now, Blame.FAILED)
        self._failures += (f"{instance.label} {kind}",)
        self._begin_anew(instance, kind)
        core.line.move()

    def _begin_anew(self, failed: Instance, reason: str) -> None:
        self._again = failed, reason
        self._status = self._received = 0
        self._instance = self._pool = self._answer = None
        self._out.clear()
        self._attempt(time.monotonic())

    def _refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        now = self._finish()
        self._core.counts.answered(None, status, now - self._begun)
        self._client.refuse(status, f"{self._core.settings.service}: {detail}", retry_after_s)

    def _story(self, verdict: str) -> str:
        return f"{verdict} (tried: {', '.join(self._failures)})" if self._failures else verdict

    def _finish(self) -> float:
        self._over = True
        return time.monotonic()
