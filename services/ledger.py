"""How often each request was executed: what tells a retry that did harm from one that did none."""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["Ledger"]


class Ledger:
    """Counts executions by request id, of the latest `limit` ids; `forgotten` counts those that fell out."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.forgotten = 0
        self.executed: OrderedDict[str, int] = OrderedDict()

    def note(self, request_id: str) -> None:
        """Counts one execution of that request."""
        self.executed[request_id] = self.executed.pop(request_id, 0) + 1
        if len(self.executed) > self.limit:
            self.executed.popitem(last=False)
            self.forgotten += 1
