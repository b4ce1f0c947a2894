"""A server that answers as it is told, and counts what it was asked."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from services.wire.connecting import reset_on_close


class Manner(StrEnum):
    """What the server does with a request."""

    ANSWER = "answer"
    ANSWER_AND_CLOSE = "answer_and_close"
    UNAVAILABLE = "unavailable"
    UNKNOWN_STATUS = "unknown_status"
    RESET = "reset"
    CLOSE_EARLY = "close_early"
    SHORT_BODY = "short_body"
    SILENCE = "silence"
    GARBAGE = "garbage"
    HEAD = "head"


ANSWERS = {
    Manner.ANSWER: b"HTTP/1.1 200 OK\r\nServer-Timing: a;dur=0.5, b;dur=2\r\nContent-Length: 2\r\n\r\nok",
    Manner.ANSWER_AND_CLOSE: b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    Manner.UNAVAILABLE: b"HTTP/1.1 503 Unavailable\r\nServer-Timing: a;dur=70\r\nContent-Length: 0\r\n\r\n",
    Manner.UNKNOWN_STATUS: b"HTTP/1.1 617 What\r\nContent-Length: 0\r\n\r\n",
    Manner.SHORT_BODY: b"HTTP/1.1 200 OK\r\nServer-Timing: a;dur=70\r\nContent-Length: 100\r\n\r\nonly this",
    Manner.HEAD: b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
    Manner.GARBAGE: b"220 mail.example.org ESMTP ready\r\n\r\n",
}
LAST_WORDS = {Manner.ANSWER_AND_CLOSE, Manner.CLOSE_EARLY, Manner.SHORT_BODY, Manner.GARBAGE}


class ScriptedServer:
    """Listens on a free port of loopback, or on a unix socket at `path`.

    `script` gives the manner of the n-th request, from 0.
    """

    def __init__(
        self, script: Callable[[int], Manner], tls: ssl.SSLContext | None = None, path: str | None = None
    ) -> None:
        self.script = script
        self._tls = tls
        self.requests: list[bytes] = []
        """Each request as it came, head and body."""
        self.connections = 0
        if path is None:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
            self.url = f"http{'s' if tls else ''}://127.0.0.1:{self._socket.getsockname()[1]}/"
        else:
            self._socket = socket.create_server(path, family=socket.AF_UNIX, backlog=512)
            self.url = f"unix:{path}:/"

    async def serve(self, stop: asyncio.Event) -> None:
        handlers: set[asyncio.Task[None]] = set()
        writers: list[asyncio.StreamWriter] = []

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            writers.append(writer)
            handlers.add(asyncio.ensure_future(self._handle(reader, writer)))

        start = asyncio.start_unix_server if self.url.startswith("unix:") else asyncio.start_server
        server = await start(accept, sock=self._socket, ssl=self._tls)  # type: ignore[operator]
        await stop.wait()
        asyncio.get_running_loop().remove_reader(self._socket)
        for _ in range(
            5
        ):  # what was accepted just now has no handler yet, and gets none from a closed server
            await asyncio.sleep(0)
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        for writer in writers:  # a handler that was cancelled before it began has not closed its own
            writer.close()
        await asyncio.sleep(0)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [
                    int(h[15:]) for h in head.lower().split(b"\r\n") if h.startswith(b"content-length:")
                ]
                self.requests.append(head + await reader.readexactly(length[0] if length else 0))
                manner = self.script(len(self.requests) - 1)
                if manner is Manner.RESET:
                    reset_on_close(writer.transport)
                    writer.transport.abort()
                    return
                writer.write(ANSWERS.get(manner, b""))
                if manner in LAST_WORDS:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone
        finally:
            writer.close()


@contextmanager
def serving(
    script: Callable[[int], Manner], tls: ssl.SSLContext | None = None, path: str | None = None
) -> Iterator[ScriptedServer]:
    """Serve by a script in a thread: `with serving(lambda n: Manner.ANSWER) as server`."""
    server = ScriptedServer(script, tls, path)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(stop),))
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
