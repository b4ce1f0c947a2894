"""Logs of servers, one for each: rings of lines in this process, and files without a name for processes.

In one process, all servers write to the same loggers. RingHandler gives each record to the ring in
`current_ring`, a context variable that each server's tasks inherit from its start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import threading
import time
from collections import deque
from contextvars import ContextVar
from typing import IO, ClassVar

__all__ = ["LogFile", "LogRing", "RingHandler", "current_ring"]

LOGGERS = ("services", "uvicorn.error")
"""The loggers that servers write to."""
READ_BYTES = 1024 * 1024
KEPT_BYTES = 64 * 1024

current_ring: ContextVar[LogRing | None] = ContextVar("current_ring", default=None)
"""The ring of the server whose code is running."""


class LogRing:
    """The latest lines of one server's log, oldest first. Safe to use from any thread."""

    def __init__(self, limit: int = 1000) -> None:
        self._lines: deque[str] = deque(maxlen=limit)
        self._written = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Add a line after the time of day. Where the ring is full, the oldest line goes."""
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1000):03d}"
        with self._lock:
            self._lines.append(f"{stamp} {text}")
            self._written += 1

    def since(self, position: int = 0) -> tuple[list[str], int]:
        """Return the lines written after `position` that are still held, and the position to go on from."""
        with self._lock:
            new = min(self._written - position, len(self._lines))
            return list(self._lines)[len(self._lines) - new :] if new > 0 else [], self._written


class LogFile:
    """The log of one process: a file without a name, so that nothing is left of it however the lab ends.

    Positions are in bytes. A closed log still returns the end of its text. Safe to use from any thread.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close)
        self._rest, self._rest_at = b"", 0

    def fileno(self) -> int:
        """Return the descriptor to write to. Raises ValueError once the log is closed."""
        if self._file is None:
            raise ValueError("the log is closed")
        return self._file.fileno()

    def since(self, position: int = 0) -> tuple[list[str], int]:
        """Return whole lines written after `position`, at most 1 MiB, and the position to go on from."""
        with self._lock:
            if self._file is None:
                position = max(position, self._rest_at)
                text = self._rest[position - self._rest_at :]
            else:
                text = os.pread(self._file.fileno(), READ_BYTES, position)
        whole, newline, _ = text.rpartition(b"\n")
        return whole.decode("utf-8", "replace").splitlines(), position + len(whole) + len(newline)

    def close(self) -> None:
        """Close the file, and keep the last 64 KiB of its text."""
        with self._lock:
            if self._file is None:
                return
            with self._file as file:
                self._rest_at = max(0, os.fstat(file.fileno()).st_size - KEPT_BYTES)
                self._rest = os.pread(file.fileno(), KEPT_BYTES, self._rest_at)
            self._file = None


class RingHandler(logging.Handler):
    """A logging handler that writes what a server logs to the server's own ring.

    Enter `with RingHandler.shared:` while servers run. It is one for all topologies of the process: the
    first to enter turns it on, the last to leave turns it off.
    """

    shared: ClassVar[RingHandler]

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self._levels: dict[str, int] = {}
        self._entered = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record of a server's code to its ring; not of other code, nor of requests cut by a kill."""
        ring = current_ring.get()
        cut = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
        if ring is not None and not cut:
            ring.write(self.format(record))

    def __enter__(self) -> RingHandler:
        with _counting:
            self._entered += 1
            if self._entered == 1:
                for name in LOGGERS:
                    self._turn_on(logging.getLogger(name))
        return self

    def __exit__(self, *_: object) -> None:
        with _counting:
            self._entered -= 1
            if self._entered == 0:
                for name, level in self._levels.items():
                    logging.getLogger(name).removeHandler(self)
                    logging.getLogger(name).setLevel(level)

    def _turn_on(self, logger: logging.Logger) -> None:
        self._levels[logger.name] = logger.level
        logger.addHandler(self)
        if logger.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)


RingHandler.shared = RingHandler()
_counting = threading.Lock()
