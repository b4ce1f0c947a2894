"""What each server logs, kept apart though all share one process."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from contextvars import ContextVar

__all__ = ["LogRing", "RingHandler", "current_ring"]

LOGGERS = ("services", "uvicorn.error")
"""The loggers that servers write to."""

current_ring: ContextVar[LogRing | None] = ContextVar("current_ring", default=None)
"""The log of the server whose code is running: a server's connections and tasks inherit it from its start."""


class LogRing:
    """The latest lines of one server's log, oldest first. Safe to use from any thread."""

    def __init__(self, limit: int = 1000) -> None:
        self._lines: deque[str] = deque(maxlen=limit)
        self._written = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Add a line, with the time before it; the oldest goes when the ring is full."""
        now = time.time()
        stamp = time.strftime("%H:%M:%S", time.localtime(now)) + f".{int(now % 1 * 1000):03d}"
        with self._lock:
            self._lines.append(f"{stamp} {text}")
            self._written += 1

    def since(self, position: int = 0) -> tuple[list[str], int]:
        """The lines written after `position` that are still held, and the position to ask from next."""
        with self._lock:
            new = min(self._written - position, len(self._lines))
            return list(self._lines)[len(self._lines) - new :] if new > 0 else [], self._written


class RingHandler(logging.Handler):
    """Sends what a server logs to its own ring. To be entered while servers run: `with RingHandler():`."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
        self._levels: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write what a server's code logged; not what other code did, nor the requests that a kill cut."""
        ring = current_ring.get()
        cut = record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError)
        if ring is not None and not cut:
            ring.write(self.format(record))

    def __enter__(self) -> RingHandler:
        for name in LOGGERS:
            logger = logging.getLogger(name)
            self._levels[name] = logger.level
            logger.addHandler(self)
            if logger.getEffectiveLevel() > logging.INFO:
                logger.setLevel(logging.INFO)
        return self

    def __exit__(self, *_: object) -> None:
        for name, level in self._levels.items():
            logging.getLogger(name).removeHandler(self)
            logging.getLogger(name).setLevel(level)
