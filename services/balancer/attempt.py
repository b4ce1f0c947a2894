"""One attempt at a request: from a connection to the instance to the end of its response."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from services.addresses import address_of
from services.balancer.balancer import LoadBalancer
from services.balancer.http.request import CHUNKED, RequestHead, Upload, length_line
from services.balancer.http.response import (
    Download,
    ResponseHead,
    rewrite_head,
    rewrite_interim,
    rewrite_switch,
)
from services.balancer.instances import InstanceState
from services.balancer.tunnel import OnEnd
from services.wire import (
    BrokenAnswer,
    Connection,
    Exchange,
    FailureKind,
    Headers,
    NoAnswer,
    NotConnected,
    NotSent,
    Opening,
    Pool,
    WireError,
)
from services.wire.heads import head_at

__all__ = ["Attempt", "Attempted", "ResponseSink"]

CONTINUE = 100


_CLOSED = frozenset({FailureKind.RESET, FailureKind.CLOSED_EARLY})


class ResponseSink(Protocol):
    """What takes exactly one response: pieces by `write` and the last by `done`, or `refuse`, or `abort`."""

    def provenance(self, head: RequestHead) -> bytes:
        """Return the header lines that say where the request comes from, up to `X-Request-ID: `."""

    def keeps_alive(self) -> bool:
        """Return whether the client's connection stays open after this response."""

    def write(self, data: bytes) -> None:
        """Pass on a piece of the response."""

    def done(self, last: bytes, now: float, close: bool = False) -> None:
        """Pass on the last piece of the response, and `close` where nothing else marks its end."""

    def tunnel(self, head: bytes, instance: asyncio.Transport, data: bytes, on_end: OnEnd) -> None:
        """Pass on the `head` of a 101 and then, until either side ends, all that client and instance send.

        `instance` is the transport to the instance, and `data` what it has sent already. Calls `on_end` once.
        """

    def refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """Answer with an error instead of a response."""

    def abort(self) -> None:
        """Cut the client off: the response ends in the middle, and must not be taken for whole."""

    def pause_upload(self) -> None:
        """Read no more of the body: the instance cannot take it in for now."""

    def resume_upload(self) -> None:
        """Read the body again."""


class Attempted(Protocol):
    """The request, as its attempts see it: each reports how it ended, unless it was given up."""

    balancer: LoadBalancer
    sink: ResponseSink
    head: RequestHead
    body: bytes
    """The body, sent anew with each attempt."""
    upload: Upload | None
    """What is sent instead of `body`, where the body is too long to be kept."""
    request_id: bytes
    deadline: float
    """When the request's time is over, of time.monotonic."""

    def retries_on(self, status: int) -> bool:
        """Decide whether a response with this status is taken for a failure, and tried elsewhere."""

    def served(self, response: ResponseHead, last: bytes) -> None:
        """Take the end of a response; `last` is the rest of what the client gets."""

    def switched(self, head: bytes, instance: asyncio.Transport, data: bytes) -> None:
        """Take a response that begins a websocket: its head, and what has come behind it on the transport."""

    def failed_with_status(self, status: int) -> None:
        """Take the end of a response that is taken for a failure."""

    def failed(self, error: WireError) -> None:
        """Take the failure of an attempt that got no whole response."""


class Attempt(Exchange):
    """What an instance is sent of a request, and its response, which the client gets as it comes.

    Its attributes say in which state an attempt is. There is no enum: to store its member at each step
    would cost every request, and each step sets one of these attributes anyway.

    | state      | is in it where                | goes on to |
    |------------|-------------------------------|------------|
    | connecting | `_opening` is set             | sent, ended (`failed`) |
    | sent       | `_connection` is set          | responding, discarding, ended (`served`, `failed`) |
    | responding | `download` is set             | passing, ended (`served`, `failed`) |
    | passing    | `passing` is true             | ended (`served`, `failed`) |
    | discarding | `_failed_status` is not 0     | ended (`failed_with_status`) |
    | ended      | `_connection` is None again   | |

    From sent, a 101 to a request for a websocket ends an attempt with `switched`.

    `give_up` ends an attempt in any state, and reports nothing.
    """

    # Defaults, so that beginning costs no more than what it sets.
    download: Download | None = None
    """The response so far, where it does not come whole."""
    passing = False
    """Whether some of the response was passed on."""
    fresh = False
    """Whether the connection was made for this attempt."""
    held_up = False
    """Whether the instance takes in the body more slowly than it comes."""
    _opening: Opening | None = None
    _connection: Connection | None = None
    _broken: BrokenAnswer | None = None
    _failed_status = 0
    """The status of a response that is taken for a failure."""
    _interim_at = 0
    """Where the next head begins in what has come, after interim answers."""

    def __init__(self, request: Attempted, instance: InstanceState, pool: Pool, now: float) -> None:
        self.instance = instance
        self.begun = now
        self._request = request
        self._pool = pool

    def open(self) -> None:
        """Send the request over a new connection."""
        self.fresh = True
        self._opening = self._pool.open(self._on_opened)
        request = self._request
        if request.deadline < self.begun + self._pool.connect_timeout_s:
            request.balancer.deadlines.watch(self, request.deadline)

    def send(self, connection: Connection, now: float) -> None:
        """Send the request over this connection."""
        self._connection = connection
        request = self._request
        balancer, head, body, upload = request.balancer, request.head, request.body, request.upload
        until = now + balancer.try_timeout_s
        allowed = balancer.try_deadline
        if until > request.deadline:
            until = request.deadline
            allowed = b"\r\nX-Request-Deadline-Ms: %d" % max(0, (until - now) * 1000)
        framing = head.framing
        if upload is not None:
            body = upload.piece()
        elif head.length == CHUNKED:
            framing = length_line(len(body))
        provenance = request.sink.provenance(head)
        if head.hostless:
            host = address_of(self.instance.host, self.instance.port)
            provenance = b"\r\nHost: " + host.encode() + provenance
        data = b"".join((head.forwarded, provenance, request.request_id, allowed, framing, body))
        more = upload is not None and not upload.whole
        connection.send(self, data, deadline=until, is_head=head.is_head, more=more)
        if upload is not None and self._connection is connection:  # it was sent
            upload.sent()
            request.sink.resume_upload()

    def give_up(self) -> None:
        """End the attempt without a word to the request, whose response is wanted no more."""
        self._stop_opening()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def met_closing(self, error: WireError) -> bool:
        """Tell whether what failed was a kept connection alone, which the instance was about to close."""
        closed = isinstance(error, NotSent) or (isinstance(error, NoAnswer) and error.kind in _CLOSED)
        return closed and not self.fresh

    @property
    def unanswered(self) -> bool:
        """Whether nothing of an answer has come."""
        connection = self._connection
        return self._opening is not None or (connection is not None and not connection.answer_begun)

    def send_more(self, upload: Upload) -> bool:
        """Send what has come of the body. Returns False if nothing can be sent yet."""
        connection = self._connection
        if connection is None:
            return False
        connection.write(upload.piece())
        upload.sent()
        if upload.whole:
            connection.finish()
        return True

    def pause(self) -> None:
        """Stop reading: the client takes in the response too slowly, which is not the instance's fault."""
        if self._connection is not None:
            self._connection.pause_reading()
            self._connection.set_deadline(self._request.deadline)

    def resume(self) -> None:
        """Read on: the client has caught up."""
        if self._connection is not None:
            self._connection.resume_reading()
            self._allow_more(self._connection)

    # What the connection to the instance calls.

    def on_whole(self, status: int, raw_head: bytes, body: bytes) -> bool:
        connection, request = self._connection, self._request
        if connection is None or status in request.balancer.retry_statuses:
            return False
        head = request.head
        response = rewrite_head(raw_head, head.minor, request.sink.keeps_alive(), head.is_head)
        if response is None or not response.length == response.expected == len(body):
            return False
        self._connection = None
        self._pool.give_back(connection)
        request.served(response, response.data + body)
        return True

    def on_informational(self, status: int) -> None:
        connection, request = self._connection, self._request
        if connection is None:
            return
        raw, self._interim_at = head_at(connection.heads_seen, self._interim_at)
        # The client was told to continue by the balancer itself, and an older one knows no interim answers.
        if status != CONTINUE and request.head.minor:
            request.sink.write(rewrite_interim(raw))

    def on_switched(self) -> bool:
        connection, request = self._connection, self._request
        if connection is None or not request.head.upgrade:
            return False
        raw, at = head_at(connection.heads_seen, self._interim_at)
        head = rewrite_switch(raw)
        if head is None:
            return False
        self._connection = None
        request.switched(head, *connection.detach(at))
        return True

    def on_head(self, status: int, headers: Headers) -> None:  # noqa: ARG002  (the raw head is faster)
        request = self._request
        if status in request.balancer.retry_statuses and request.retries_on(status):
            self._failed_status = status
            return
        connection, head = self._connection, request.head
        if connection is None:
            return
        response = rewrite_head(connection.raw_head, head.minor, request.sink.keeps_alive(), head.is_head)
        if response is None:
            self._break("a folded header, or a transfer coding that was not asked for")
            return
        self.download = Download(response)
        if response.length < 0:
            connection.allow_any_trailer()

    def on_body(self, chunk: bytes) -> None:
        if self.download is not None:
            self.download.add(chunk)

    def on_flush(self) -> None:
        data = self.download.ready() if self.download is not None else b""
        if not data:
            return
        self.passing = True
        if self._connection is not None:
            self._allow_more(self._connection)
        self._request.sink.write(data)

    def on_complete(self) -> None:
        connection, download = self._connection, self.download
        if connection is None:
            return
        self._connection = None
        self._pool.give_back(connection)
        if download is None:
            self._request.failed_with_status(self._failed_status)
        elif download.fits:
            self._request.served(download.head, download.last())
        else:
            # Two readings of one response: the client must not be left with either.
            self.passing = True
            self._request.failed(BrokenAnswer(FailureKind.PROTOCOL_ERROR, connection.peer, "two lengths"))

    def on_failure(self, error: WireError) -> None:
        if self._connection is None:  # given up
            return
        self._connection = None
        if self._failed_status:  # at its head it was decided already to try elsewhere, and paid for
            self._request.failed_with_status(self._failed_status)
        else:
            self._request.failed(self._broken or error)

    def pause_writing(self) -> None:
        self.held_up = True
        self._request.sink.pause_upload()

    def resume_writing(self) -> None:
        self.held_up = False
        self._request.sink.resume_upload()

    # The rest.

    def on_deadline(self) -> None:
        """Give up connecting: the request's time is over."""
        self._stop_opening()
        peer = self.instance.label
        self._request.failed(NotConnected(FailureKind.READ_TIMEOUT, peer, "no connection in time"))

    def _stop_opening(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
            self._request.balancer.deadlines.forget(self)

    def _on_opened(self, result: Connection | NotConnected) -> None:
        self._opening = None
        self._request.balancer.deadlines.forget(self)
        if isinstance(result, Connection):
            self.send(result, time.monotonic())
        else:
            self._request.failed(result)

    def _allow_more(self, connection: Connection) -> None:
        """Move the deadline after progress: `try_timeout_s` from now, the request's own at the latest."""
        request = self._request
        connection.set_deadline(min(time.monotonic() + request.balancer.try_timeout_s, request.deadline))

    def _break(self, detail: str) -> None:
        """Fail the attempt: what came cannot be passed on."""
        if self._connection is not None:
            self._broken = BrokenAnswer(FailureKind.PROTOCOL_ERROR, self._connection.peer, detail)
            self._connection.abort()
