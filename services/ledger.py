"""How often each request was executed: what tells a retry that did harm from one that did none."""

from __future__ import annotations

import os
from collections import OrderedDict

__all__ = ["Ledger"]


class Ledger:
    """Counts executions by request id, of the latest `limit` ids; `forgotten` counts those that fell out.

    Where a `file` is given, each id is appended to it as a line at the moment its execution begins: that is
    still there when the service was killed in the middle. Raises OSError where it cannot be written.
    """

    def __init__(self, limit: int, file: str = "") -> None:
        self.limit = limit
        self.forgotten = 0
        self.executed: OrderedDict[str, int] = OrderedDict()
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC) if file else None

    def note(self, request_id: str) -> None:
        """Counts one execution of that request."""
        self.executed[request_id] = self.executed.pop(request_id, 0) + 1
        if len(self.executed) > self.limit:
            self.executed.popitem(last=False)
            self.forgotten += 1
        if self._file is not None:
            os.write(self._file, request_id.encode() + b"\n")

    def close(self) -> None:
        """Write to the file no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
