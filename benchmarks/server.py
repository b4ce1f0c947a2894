"""Run servers of known behaviour, each in a process of its own that keeps a log.

`python -m benchmarks.server '{"manner": "delay", "ms": 50}'` prints its port, serves until its stdin ends,
and then prints its log as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lab.load.pacer import Pacer, PendingStarts
from services.command import die_with
from services.loops import run
from services.wire.connecting import reset_on_close

__all__ = ["BREAKS", "Served", "service_times_s", "serving"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

BREAKS = {
    "reset": b"",
    "closed_early": b"",
    "short_body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
    "read_timeout": b"",
    "protocol_error": b"220 mail.example.org ESMTP ready\r\n\r\n",
}
"""The ways to break an answer, named as the generator must class them, and the bytes sent."""


class Served:
    """A running server. `log` ends it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.url = f"http://127.0.0.1:{port}/"

    def stop(self, seconds: float) -> float:
        """Stop the process for `seconds`, and return how long it really stood still."""
        begun = time.monotonic()
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)
        return time.monotonic() - begun

    def log(self) -> Any:
        """End the server, and return its log."""
        out, _ = self._process.communicate(timeout=10)
        return json.loads(out)


@contextmanager
def serving(manner: str, **settings: Any) -> Iterator[Served]:
    """Run a server of one manner: null, delay, queue, or breaks."""
    command = [sys.executable, "-m", "benchmarks.server", json.dumps({"manner": manner, **settings})]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Served(process, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def service_times_s(distribution: str, mean_s: float, seed: int, count: int) -> NDArray[np.float64]:
    """Return the time in s that the queueing server plans for each of its first `count` requests."""
    if distribution == "constant":
        return np.full(count, mean_s)
    return np.random.Generator(np.random.PCG64([seed, 1])).exponential(mean_s, count)


class _Connection(asyncio.Protocol):
    """Hands each request to the server. Requests have no body, and one at a time is on its way."""

    def __init__(self, server: _Null) -> None:
        self._server = server
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            _, _, self._rest = self._rest.partition(b"\r\n\r\n")
            self._server.serve(self._transport)


class _Null:
    """Answers at once. The log is how many requests it saw."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.seen = 0

    def serve(self, transport: asyncio.Transport) -> None:
        self.seen += 1
        transport.write(OK)

    def log(self) -> Any:
        return self.seen


class _Delay(_Null):
    """Answers every request `ms` after it came. The log is how long each really took, in ns."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        self._delay_ns = round(settings["ms"] * 1e6)
        self._waiting: deque[tuple[int, asyncio.Transport]] = deque()
        self._took: list[int] = []
        self._pacer = Pacer(PendingStarts(np.empty(0, dtype=np.int64)), self._answer)

    def serve(self, transport: asyncio.Transport) -> None:
        now = time.monotonic_ns()
        self._waiting.append((now, transport))
        self._pacer.add(now + self._delay_ns)

    def _answer(self, _: int) -> None:
        came, transport = self._waiting.popleft()
        transport.write(OK)
        self._took.append(time.monotonic_ns() - came)

    def log(self) -> Any:
        return self._took


class _Queue(_Null):
    """One slot, first come, first served. The log is what each request was worked on, in ns, in order.

    It works to the clock: that one answer goes out late does not lengthen the work on the next.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        wanted = service_times_s(*(settings[key] for key in ("distribution", "mean_s", "seed", "count")))
        self._wanted = iter(np.rint(wanted * 1e9).astype(np.int64).tolist())
        self._waiting: deque[asyncio.Transport] = deque()
        self._worked: list[int] = []
        self._pacer = Pacer(PendingStarts(np.empty(0, dtype=np.int64)), self._done)

    def serve(self, transport: asyncio.Transport) -> None:
        self._waiting.append(transport)
        if len(self._waiting) == 1:
            self._begin(time.monotonic_ns())

    def _begin(self, at_ns: int) -> None:
        self._worked.append(next(self._wanted))
        self._pacer.add(at_ns + self._worked[-1])

    def _done(self, due_ns: int) -> None:
        self._waiting.popleft().write(OK)
        if self._waiting:
            self._begin(due_ns)

    def log(self) -> Any:
        return self._worked


class _Breaks(_Null):
    """Breaks every third answer in the way `how`. The log is how many requests it saw."""

    def serve(self, transport: asyncio.Transport) -> None:
        self.seen += 1
        if self.seen % 3:
            transport.write(OK)
            return
        how = self.settings["how"]
        if how == "reset":
            reset_on_close(transport)
            transport.abort()
        elif how != "read_timeout":
            transport.write(BREAKS[how])
            transport.close()


_MANNERS = {"null": _Null, "delay": _Delay, "queue": _Queue, "breaks": _Breaks}


async def _serve(settings: dict[str, Any]) -> None:
    server = _MANNERS[settings["manner"]](settings)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, backlog=1024)
    ended = asyncio.Event()
    loop.add_reader(0, lambda: ended.set() if not os.read(0, 4096) else None)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    print(json.dumps(server.log()), flush=True)


if __name__ == "__main__":
    die_with(os.getppid())  # it may be stopped when its parent dies
    given = json.loads(sys.argv[1])
    if given.get("cpu") is not None:
        os.sched_setaffinity(0, (given["cpu"],))
    run(_serve(given))
