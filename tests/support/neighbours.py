"""Neighbours that compute beside a test, as a stranger's programs do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

__all__ = ["busy_loops"]

_LOOP = "import os\nos.nice({nice})\nwhile os.getppid() == {parent}: sum(range(10**5))"


@contextmanager
def busy_loops(count: int, nice: int = 0) -> Iterator[None]:
    """Have so many processes compute without end until the block ends, or this process does."""
    with ExitStack() as stack:
        for _ in range(count):
            loop = subprocess.Popen([sys.executable, "-c", _LOOP.format(parent=os.getpid(), nice=nice)])
            stack.callback(loop.wait)
            stack.callback(loop.kill)
        yield
