"""Servers that do as they please with a socket from the moment it is accepted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from services.wire.connecting import NO_LINGER

__all__ = ["OK", "answer", "close", "raw_serving", "reset", "speak_first"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Handler = Callable[[socket.socket, int], None]


def close(sock: socket.socket, _: int) -> None:
    """Close in good order, unasked."""
    sock.close()


def reset(sock: socket.socket, _: int) -> None:
    """Close as a crash would."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    sock.close()


def speak_first(sock: socket.socket, _: int) -> None:
    """Greet as a mail server does, and wait."""
    sock.sendall(b"220 hi\r\n")
    sock.recv(65536)


def answer(sock: socket.socket, _: int) -> None:
    """Answer every request, which has no body, with 200."""
    while sock.recv(65536):
        sock.sendall(OK)


@contextmanager
def raw_serving(handle: Handler, host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Have `handle(socket, number)` deal with each connection in a thread; give the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=512)
    open_sockets: list[socket.socket] = []

    def deal(sock: socket.socket, number: int) -> None:
        with sock, suppress(OSError):
            handle(sock, number)

    def accept() -> None:
        number = 0
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            open_sockets.append(sock)
            threading.Thread(target=deal, args=(sock, number), daemon=True).start()
            number += 1

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()
        for sock in open_sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
