"""Timers that expire at a time of the monotonic clock, more punctually than a loop's own.

Linux has timerfd, a timer that the loop reads as it reads a socket. It is set early by as long as a wake-up
mostly takes, which is learned, and what is left is spun away: some microseconds, at most 50. Elsewhere a loop
timer expires a little early and the rest is spun away, for two milliseconds at most and with the loop
running: answers are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

__all__ = ["SpinTimer", "Timer", "TimerfdTimer", "new_timer"]

_SPIN_NS = 2_000_000
"""Loop timers of uvloop and asyncio may be late by a millisecond; the spin covers that and never more."""
_MOST_EARLY_NS = 50_000
"""Wake-ups that take longer mostly had to wait for a processor, and then it is no use to be early."""
_LEARNED = 16
"""Wake-ups that the time one takes is averaged over, about."""
_LEAST_SLEEPS = 4
"""Times as long as it is early, a timer has to sleep at least: so little of the time is spun away."""


class Timer(Protocol):
    """A timer that calls back once for every time it is set, at or after that time and never before."""

    name: str

    def set(self, at_ns: int) -> None:
        """Expire at that time of `time.monotonic_ns`, and no more at the time set before."""

    def close(self) -> None:
        """Never expire again, and give back what the timer holds."""


class TimerfdTimer:
    """A timer by Linux's timerfd on CLOCK_MONOTONIC, in absolute time. Raises OSError where there is none."""

    name = "timerfd"

    def __init__(self, loop: asyncio.AbstractEventLoop, on_expiry: Callable[[], None]) -> None:
        self._loop = loop
        self._on_expiry = on_expiry
        self._at_ns = self._wake_ns = 0
        self._early_ns = 0
        """How long a wake-up takes, mostly."""
        self._learns = False
        """Whether the next one tells, since the timer sleeps before it."""
        self._timer = _Timerfd()
        loop.add_reader(self._timer.fd, self._expired)

    def set(self, at_ns: int) -> None:
        """Expire at `at_ns` (see Timer)."""
        self._at_ns = self._wake_ns = at_ns
        sleeps_ns = at_ns - time.monotonic_ns()
        self._learns = sleeps_ns > 0
        if sleeps_ns > _LEAST_SLEEPS * self._early_ns:
            self._wake_ns -= self._early_ns
        self._timer.set(max(self._wake_ns, 1))  # 0 would disarm it

    def close(self) -> None:
        """Never expire again (see Timer)."""
        self._at_ns = -1
        self._loop.remove_reader(self._timer.fd)
        os.close(self._timer.fd)

    def _expired(self) -> None:
        at, now = self._at_ns, time.monotonic_ns()
        if now < self._wake_ns:  # set anew between the wake-up and now
            return
        took_ns = now - self._wake_ns
        if self._learns and took_ns < 4 * _MOST_EARLY_NS:  # else it was not let run
            self._early_ns += (min(took_ns, _MOST_EARLY_NS) - self._early_ns) // _LEARNED
        while now < at:
            now = time.monotonic_ns()
        self._on_expiry()
        if self._at_ns == at:  # setting it anew would have made it unreadable, and saved the reading
            self._timer.clear()


class SpinTimer:
    """A timer of the loop that expires early, and a bounded spin through the loop for the rest."""

    name = "timer and spin"

    def __init__(self, loop: asyncio.AbstractEventLoop, on_expiry: Callable[[], None]) -> None:
        self._loop = loop
        self._on_expiry = on_expiry
        self._at_ns = 0
        self._handle: asyncio.Handle | None = None

    def set(self, at_ns: int) -> None:
        """Expire at `at_ns` (see Timer)."""
        self.close()
        self._at_ns = at_ns
        early = (at_ns - _SPIN_NS - time.monotonic_ns()) / 1e9
        self._handle = self._loop.call_later(max(early, 0.0), self._spin)

    def close(self) -> None:
        """Never expire again (see Timer)."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = None

    def _spin(self) -> None:
        if time.monotonic_ns() >= self._at_ns:
            self._handle = None
            self._on_expiry()
        else:
            self._handle = self._loop.call_soon(self._spin)


def new_timer(loop: asyncio.AbstractEventLoop, on_expiry: Callable[[], None]) -> Timer:
    """Return the most punctual timer that this system has."""
    if sys.platform == "linux":
        try:
            return TimerfdTimer(loop, on_expiry)
        except (OSError, AttributeError):  # a sandbox without it, or a libc
            pass
    return SpinTimer(loop, on_expiry)


_ABSOLUTE = 1  # TFD_TIMER_ABSTIME


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class _Timerfd:
    """timerfd_create(2) and timerfd_settime(2): from `os` on Python 3.13 and later, by ctypes before."""

    __slots__ = ("_settime", "_spec", "fd")

    def __init__(self) -> None:
        flags = os.O_NONBLOCK | os.O_CLOEXEC  # the same bits as TFD_NONBLOCK and TFD_CLOEXEC
        if sys.version_info >= (3, 13):
            self.fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=flags)
            return
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.timerfd_create(time.CLOCK_MONOTONIC, flags)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Timerspec()
        libc.timerfd_settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        self._settime = partial(libc.timerfd_settime, self.fd, _ABSOLUTE, ctypes.byref(self._spec), None)

    def clear(self) -> None:
        """Read the expiry away, so that the loop does not report it again."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def set(self, at_ns: int) -> None:
        """Expire once, at that time of CLOCK_MONOTONIC in ns; 0 disarms."""
        if sys.version_info >= (3, 13):
            os.timerfd_settime_ns(self.fd, flags=_ABSOLUTE, initial=at_ns)
            return
        value = self._spec.value
        value.seconds, value.nanoseconds = divmod(at_ns, 1_000_000_000)
        self._settime()
