"""What one instance of a service is and does, whatever protocol it is asked in.

How often each request was executed: what tells a retry that did harm from one that did none.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from services.messages import PipelineResponse, ReportRequest, TextRequest
from services.settings import ServiceSettings, SettingsError
from services.slots import Slots, SlotTimes
from services.stages import STAGES

__all__ = ["BudgetSpentError", "Ledger", "Made", "ServiceInstance"]


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


Made = TextRequest | ReportRequest | PipelineResponse
"""What a stage makes: the next hop's request, or the last one's answer."""

EncodedT = TypeVar("EncodedT")


class BudgetSpentError(Exception):
    """The caller's time ran out before the end of the request."""


class ServiceInstance:
    """The stage, the slots and the ledger of one instance. Belongs to one event loop.

    Raises SettingsError for a route that is none of the pipeline's and for a next hop too many or missing.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        if settings.path not in STAGES:
            raise SettingsError(f"SERVICE_PATH (path) is {settings.path!r}: give one of {', '.join(STAGES)}")
        self.stage = STAGES[settings.path]
        if self.stage.last is not (settings.next_url is None):
            wanted = "has no next hop: leave it out" if self.stage.last else "needs one: give its full URL"
            raise SettingsError(
                f"SERVICE_NEXT_URL (next_url) is {settings.next_url!r}: {settings.path} {wanted}"
            )
        self.settings = settings
        self.station = Slots(settings.work, settings.instance)
        self.ledger = Ledger(settings.ledger_limit, settings.ledger_file) if settings.ledger_limit else None

    async def make(
        self,
        message: TextRequest | ReportRequest,
        encode: Callable[[Made], EncodedT],
        visit: SlotTimes,
        deadline: float | None,
    ) -> EncodedT:
        """Takes the message through a slot, and gives what the stage makes of it, encoded in there too.

        `deadline` is on the loop's clock. Raises QueueFullError, and BudgetSpentError once it has passed.
        """

        def step() -> EncodedT:
            if self.ledger is not None:
                self.ledger.note(message.request_id)
            return encode(self.stage.does(message))

        try:
            async with asyncio.timeout_at(deadline):
                return await self.station.serve(step, visit)
        except TimeoutError as error:
            raise self._spent() from error

    def left_s(self, deadline: float | None) -> float:
        """How long the next hop may take from now on, in seconds. Raises BudgetSpentError if no longer."""
        left_s = self.settings.hop_timeout_s
        if deadline is not None:
            left_s = min(left_s, deadline - asyncio.get_running_loop().time())
        if left_s <= 0:
            raise self._spent()
        return left_s

    def timing(self, visit: SlotTimes, beyond: str | None) -> str:
        """The value of Server-Timing: where the time went here, and before that of the hops beyond."""
        service = self.settings.service
        here = f"{service}-queue;dur={visit.queue_s * 1000:.3f}, {service}-work;dur={visit.work_s * 1000:.3f}"
        return f"{here}, {beyond}" if beyond else here

    def full(self, error: Exception) -> str:
        """What a caller is told who found the queue full."""
        return f"{self.settings.instance} is full: {error}"

    def failed(self, error: BaseException) -> str:
        """What a caller is told about a fault of this service itself."""
        return f"{self.settings.instance} failed: {type(error).__name__}"

    def close(self) -> None:
        """Lets the worker threads go, and the ledger's file."""
        self.station.close()
        if self.ledger is not None:
            self.ledger.close()

    def _spent(self) -> BudgetSpentError:
        return BudgetSpentError(f"{self.settings.instance}: the request's budget ran out before its end")
