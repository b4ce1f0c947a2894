"""Run programs that a stranger could have running beside a measurement, for as long as a block lasts.

Each ends with its block, with this process, and after `LONGEST_S` in any case.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager as Block
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from enum import StrEnum
from functools import partial

from benchmarks.nginx import nginx

__all__ = ["CannotRunError", "NeighbourKind", "beside", "busy_on"]

LONGEST_S = 240
"""So long does a neighbour run at most, whatever becomes of those who started it."""
LOOPS = 8
SLEEPERS = 40
NICE = 10
PERIOD_S = 0.05
"""Bursts begin at the same moment on all cores, so often."""


class CannotRunError(Exception):
    """A neighbour that cannot be had here; the text says why."""


class NeighbourKind(StrEnum):
    """What may run beside a measurement."""

    NONE = "none"
    LOOPS = "loops"
    """Eight busy loops of equal weight."""
    NICED = "niced"
    """Eight busy loops, and the measurement niced under them."""
    WRK = "wrk"
    """Two wrk against one nginx."""
    BURSTS_3 = "bursts3"
    """Bursts in real time of 3 ms in 50, on every core at once."""
    BURSTS_10 = "bursts10"
    BURSTS_30 = "bursts30"
    SLEEPERS = "sleepers"
    """Forty programs that each wake a thousand times a second."""
    TRAFFIC = "traffic"
    """Memory copied without end by two programs, and a file written and synced by a third."""


@contextmanager
def beside(kind: NeighbourKind) -> Iterator[None]:
    """Have neighbours of one kind run until the block ends. Raises CannotRunError."""
    with _BLOCKS[kind]():
        yield


@contextmanager
def busy_on(core: int) -> Iterator[None]:
    """Burn one core in another process until the block ends."""
    with _running(1, "sum(range(10**4))", f"os.sched_setaffinity(0, ({core},))"):
        yield


_PROGRAM = """
import os, sys, time
leader, parent = os.getpid(), {parent}
for _ in range({copies} - 1):
    if os.fork() == 0:
        parent = leader
        break
until = time.monotonic() + {longest}
try:
    {before}
except OSError as error:
    os.write(1, b"!" + str(error).encode())
    sys.exit(1)
os.write(1, b".")
os.close(1)
while os.getppid() == parent and time.monotonic() < until:
    {turn}
"""


@contextmanager
def _running(copies: int, turn: str, before: str = "pass") -> Iterator[None]:
    """Have so many processes repeat `turn`; each has done `before` when the block begins."""
    program = _PROGRAM.format(parent=os.getpid(), copies=copies, longest=LONGEST_S, before=before, turn=turn)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", program],
        stdout=subprocess.PIPE,
        start_new_session=True,  # the group that its copies are in too, which Ctrl-C does not reach
    )
    try:
        assert process.stdout is not None
        said = process.stdout.read(copies)
        if said != b"." * copies:
            raise CannotRunError(
                (said + process.stdout.read()).decode(errors="replace").strip(".!") or "it ended"
            )
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


@contextmanager
def _under_loops() -> Iterator[None]:
    """Nice this thread, and with it what it starts, under eight busy loops."""
    if os.geteuid() != 0:
        raise CannotRunError("only root may take back that a program was niced")
    with _running(LOOPS, "sum(range(10**4))"):
        before = os.getpriority(os.PRIO_PROCESS, 0)
        os.setpriority(os.PRIO_PROCESS, 0, before + NICE)
        try:
            yield
        finally:
            os.setpriority(os.PRIO_PROCESS, 0, before)


@contextmanager
def _bursts(busy_ms: int) -> Iterator[None]:
    """Have every core computed on in real time, in bursts that begin together."""
    if not hasattr(os, "sched_setscheduler"):
        raise CannotRunError("only Linux has real-time programs")
    before = "os.sched_setaffinity(0, ({core},)); os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))"
    turn = (
        f"at = time.monotonic(); time.sleep({PERIOD_S} - at % {PERIOD_S}); at = time.monotonic()\n"
        f"    while time.monotonic() < at + {busy_ms / 1000}: pass"
    )
    with ExitStack() as stack:
        for core in sorted(os.sched_getaffinity(0)):
            stack.enter_context(_running(1, turn, before.format(core=core)))
        yield


@contextmanager
def _two_wrk() -> Iterator[None]:
    program = shutil.which("wrk")
    if not program:
        raise CannotRunError("wrk is not installed")
    with ExitStack() as stack:
        try:
            url = stack.enter_context(nginx())
        except (OSError, RuntimeError) as error:
            raise CannotRunError(str(error)) from error
        for _ in range(2):
            wrk = subprocess.Popen(
                [program, "-t1", "-c16", f"-d{LONGEST_S}s", url],
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
            stack.callback(wrk.wait)
            stack.callback(wrk.kill)
        yield


@contextmanager
def _traffic() -> Iterator[None]:
    copying = "b[:] = a"
    writing = "f.seek(0); f.write(a); f.flush(); os.fsync(f.fileno())"
    with (
        _running(2, copying, "a = bytes(1 << 26); b = bytearray(a)"),
        _running(1, writing, "import tempfile; a = bytes(1 << 23); f = tempfile.TemporaryFile()"),
    ):
        yield


_BLOCKS: dict[NeighbourKind, Callable[[], Block[None]]] = {
    NeighbourKind.NONE: nullcontext,
    NeighbourKind.LOOPS: partial(_running, LOOPS, "sum(range(10**4))"),
    NeighbourKind.NICED: _under_loops,
    NeighbourKind.WRK: _two_wrk,
    NeighbourKind.BURSTS_3: partial(_bursts, 3),
    NeighbourKind.BURSTS_10: partial(_bursts, 10),
    NeighbourKind.BURSTS_30: partial(_bursts, 30),
    NeighbourKind.SLEEPERS: partial(_running, SLEEPERS, "time.sleep(0.001)"),
    NeighbourKind.TRAFFIC: _traffic,
}
