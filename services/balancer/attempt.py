"""One attempt at a request: from a connection to the instance to the end of its answer.

Who sent a request, as seen by what forwards it.
"""

from __future__ import annotations

import time
from typing import Protocol

from services.balancer.balancer import LoadBalancer
from services.balancer.http.bodies import Download, Upload
from services.balancer.http.request_head import CHUNKED, RequestHead
from services.balancer.http.response_head import AnswerHead, answer_head, length_line
from services.balancer.instances import InstanceState
from services.wire import (
    BrokenAnswer,
    Connection,
    Exchange,
    FailureKind,
    Headers,
    NotConnected,
    Opening,
    Pool,
    WireError,
)

__all__ = ["Attempt", "Attempted", "ResponseSink"]


class ResponseSink(Protocol):
    """Takes exactly one answer: pieces by `write` and the last by `done`, or `refuse`, or `abort`."""

    def provenance(self, head: RequestHead) -> bytes:
        """The header lines that say where the request comes from and on what ways, up to `X-Request-ID: `."""

    def keeps_alive(self) -> bool:
        """Whether its connection stays open after this answer."""

    def write(self, data: bytes) -> None:
        """Pass on a piece of the answer."""

    def done(self, last: bytes, now: float, close: bool = False) -> None:
        """Pass on the last piece of the answer, and `close` where nothing else marks its end."""

    def refuse(self, status: int, detail: str, retry_after_s: int | None = None) -> None:
        """There will be no other answer than this."""

    def abort(self) -> None:
        """The answer ends in the middle, and the client must not take it for whole."""

    def pause_upload(self) -> None:
        """The instance cannot take in more of the body for now."""

    def resume_upload(self) -> None:
        """It can again."""


class Attempted(Protocol):
    """The request, as its attempts see it. Of each it is told how it ended, unless that was given up."""

    core: LoadBalancer
    client: ResponseSink
    head: RequestHead
    body: bytes
    """What is sent anew with each attempt."""
    upload: Upload | None
    """What is sent instead, where the body is too long for that."""
    request_id: bytes
    deadline: float
    """When its time is over, of time.monotonic."""

    def turns_down(self, status: int) -> bool:
        """Whether an answer with this status is taken for a failure, and the request tried elsewhere."""

    def served(self, answer: AnswerHead, last: bytes) -> None:
        """The instance has answered, and this is the last that the client gets of it."""

    def turned_down(self, status: int) -> None:
        """The answer that is taken for a failure has come to its end."""

    def failed(self, error: WireError) -> None:
        """There is no whole answer."""


class Attempt(Exchange):
    """What an instance is sent of a request, and what comes back, which the client gets as it comes."""

    # Defaults, so that beginning costs no more than what it sets.
    download: Download | None = None
    """What has come of an answer, if it does not come whole."""
    passing = False
    """Whether some of the answer was passed on."""
    held_up = False
    """Whether the instance takes in the body more slowly than it comes."""
    _opening: Opening | None = None
    _connection: Connection | None = None
    _broken: BrokenAnswer | None = None
    _turned_down = 0  # the status of an answer that is taken for a failure

    def __init__(self, request: Attempted, instance: InstanceState, pool: Pool, now: float) -> None:
        self.instance = instance
        self.begun = now
        self._request = request
        self._pool = pool

    def open(self) -> None:
        """Send the request over a new connection."""
        self._opening = self._pool.open(self._on_opened)

    def send(self, connection: Connection, now: float) -> None:
        """Send the request over this connection."""
        self._connection = connection
        request = self._request
        core, head, body, upload = request.core, request.head, request.body, request.upload
        until = now + core.try_timeout_s
        allowed = core.try_deadline
        if until > request.deadline:
            until = request.deadline
            allowed = b"\r\nX-Request-Deadline-Ms: %d" % max(0, (until - now) * 1000)
        framing = head.framing
        if upload is not None:
            body = upload.piece()
        elif head.length == CHUNKED:
            framing = length_line(len(body))
        whence = request.client.provenance(head)
        data = b"".join((head.forwarded, whence, request.request_id, allowed, framing, body))
        more = upload is not None and not upload.whole
        connection.send(self, data, deadline=until, is_head=head.is_head, more=more)
        if upload is not None and self._connection is connection:  # it was sent
            upload.sent()
            request.client.resume_upload()

    def give_up(self) -> None:
        """Nobody wants the answer any more: the request is told nothing of it either."""
        if self._opening is not None:
            self._opening.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    def send_more(self, upload: Upload) -> bool:
        """More of the body came. False if nothing can be sent yet."""
        connection = self._connection
        if connection is None:
            return False
        connection.write(upload.piece())
        upload.sent()
        if upload.whole:
            connection.finish()
        return True

    def pause(self) -> None:
        """The client takes in the answer too slowly; that is not the instance's fault."""
        if self._connection is not None:
            self._connection.pause_reading()
            self._connection.set_deadline(self._request.deadline)

    def resume(self) -> None:
        """The client has caught up."""
        if self._connection is not None:
            self._connection.resume_reading()
            self._allow_more(self._connection)

    # What the connection to the instance calls.

    def on_whole(self, status: int, raw_head: bytes, body: bytes) -> bool:
        connection, request = self._connection, self._request
        if connection is None or status in request.core.retry_statuses:
            return False
        head = request.head
        answer = answer_head(raw_head, head.minor, request.client.keeps_alive(), head.is_head)
        if answer is None or not answer.length == answer.expected == len(body):
            return False
        self._connection = None
        self._pool.give_back(connection)
        request.served(answer, answer.data + body)
        return True

    def on_head(self, status: int, headers: Headers) -> None:  # noqa: ARG002  (the raw head is faster)
        request = self._request
        if status in request.core.retry_statuses and request.turns_down(status):
            self._turned_down = status
            return
        connection, head = self._connection, request.head
        if connection is None:
            return
        answer = answer_head(connection.raw_head, head.minor, request.client.keeps_alive(), head.is_head)
        if answer is None:
            self._break("a folded header, or a transfer coding that was not asked for")
            return
        self.download = Download(answer)

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
        self._request.client.write(data)

    def on_complete(self) -> None:
        connection, download = self._connection, self.download
        if connection is None:
            return
        self._connection = None
        self._pool.give_back(connection)
        if download is None:
            self._request.turned_down(self._turned_down)
        elif download.fits:
            self._request.served(download.head, download.last())
        else:
            # Two readings of one answer: the client must not be left with either.
            self.passing = True
            self._request.failed(BrokenAnswer(FailureKind.PROTOCOL_ERROR, connection.peer, "two lengths"))

    def on_failure(self, error: WireError) -> None:
        if self._connection is None:  # given up
            return
        self._connection = None
        if self._turned_down:  # at its head it was decided already to try elsewhere, and paid for
            self._request.turned_down(self._turned_down)
        else:
            self._request.failed(self._broken or error)

    def pause_writing(self) -> None:
        self.held_up = True
        self._request.client.pause_upload()

    def resume_writing(self) -> None:
        self.held_up = False
        self._request.client.resume_upload()

    # The rest.

    def _on_opened(self, result: Connection | NotConnected) -> None:
        self._opening = None
        if isinstance(result, Connection):
            self.send(result, time.monotonic())
        else:
            self._request.failed(result)

    def _allow_more(self, connection: Connection) -> None:
        """There was progress: so long the instance may be silent, and the whole may take no longer."""
        request = self._request
        connection.set_deadline(min(time.monotonic() + request.core.try_timeout_s, request.deadline))

    def _break(self, detail: str) -> None:
        """What came cannot be passed on."""
        if self._connection is not None:
            self._broken = BrokenAnswer(FailureKind.PROTOCOL_ERROR, self._connection.peer, detail)
            self._connection.abort()
