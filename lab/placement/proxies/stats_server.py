"""Answer, in the lab's process, the requests that an external load balancer cannot answer and passes on."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

__all__ = ["StatsServer"]

IDLE_S = 5.0
"""How long a connection may be silent."""

Answer = Callable[[], Mapping[str, Any]]


class StatsServer:
    """A small HTTP server on a free port of the loopback, with a thread of its own, until `close`."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        """Answer GET by functions that return JSON data, by path. An error is a 502 with its reason."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.answers = answers
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="lab stats server", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """The address that the server listens on, as `host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop answering, and free the port."""
        self._closing = True
        with suppress(OSError), socket.create_connection(self._server.server_address, IDLE_S):
            pass  # a connection wakes the thread
        self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        while not self._closing:
            self._server.handle_request()


class _Server(socketserver.ThreadingTCPServer):
    server_address: tuple[str, int]
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    answers: Mapping[str, Answer]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = IDLE_S

    def do_GET(self) -> None:
        answer = self.server.answers.get(self.path)
        if answer is None:
            self._reply(404, {"detail": f"nothing at {self.path}"})
            return
        try:
            self._reply(200, answer())
        except Exception as error:  # of any kind: the client is told
            self._reply(502, {"detail": f"{type(error).__name__}: {error}"})

    def _reply(self, status: int, content: Mapping[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
