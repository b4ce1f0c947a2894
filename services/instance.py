"""One instance of a service, whatever protocol it is asked in: its stage, its slots and its ledger.

The ledger counts how often each request was executed, which tells a retry that did harm from one that did
none.
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from services import server_timing
from services.messages import PipelineResponse, ReportRequest, TextRequest
from services.settings import ServiceSettings, SettingsError
from services.slots import Slots, SlotTimes
from services.stages import STAGES

__all__ = ["BudgetSpentError", "ContradictionError", "Ledger", "ServiceInstance", "StageOutput"]


class Ledger:
    """Executions by request id, of the latest `limit` ids; `forgotten` counts the ids that fell out.

    Where a `file` is given, each id is appended to it as a line when its execution begins, so that the line
    outlives a service that is killed half-way. Raises OSError where the file cannot be written.
    """

    def __init__(self, limit: int, file: str = "") -> None:
        self.limit = limit
        self.forgotten = 0
        self.executed: OrderedDict[str, int] = OrderedDict()
        self._file = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC) if file else None

    def note(self, request_id: str) -> None:
        """Count one execution of a request."""
        self.executed[request_id] = self.executed.pop(request_id, 0) + 1
        if len(self.executed) > self.limit:
            self.executed.popitem(last=False)
            self.forgotten += 1
        if self._file is not None:
            os.write(self._file, request_id.encode() + b"\n")

    def close(self) -> None:
        """Close the file. Executions noted after that are counted, and not written."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


StageOutput = TextRequest | ReportRequest | PipelineResponse
"""What a stage makes: the next service's request, or the pipeline's response."""

EncodedT = TypeVar("EncodedT")


class BudgetSpentError(Exception):
    """The time that the client gave the request ran out before its end."""


class ContradictionError(ValueError):
    """What the message says cannot be, though its fields are of the right types."""


class ServiceInstance:
    """The stage, the slots and the ledger of one instance. Belongs to one event loop.

    Raises SettingsError for a route that is none of the pipeline's, and for a next service that is missing or
    one too many.
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
        self.slots = Slots(settings.work, settings.instance)
        self.ledger = Ledger(settings.ledger_limit, settings.ledger_file) if settings.ledger_limit else None

    async def execute(
        self,
        message: TextRequest | ReportRequest,
        encode: Callable[[StageOutput], EncodedT],
        times: SlotTimes,
        deadline: float | None,
    ) -> EncodedT:
        """Do the stage's work on a message in a slot, and return its output, encoded in the slot as well.

        `deadline` is on the loop's clock. Fills in `times`. Raises ContradictionError, QueueFullError, and
        BudgetSpentError once the deadline has passed.
        """
        objection = self.stage.objection(message)
        if objection:
            raise ContradictionError(objection)

        def step() -> EncodedT:
            if self.ledger is not None:
                self.ledger.note(message.request_id)
            return encode(self.stage.does(message))

        try:
            async with asyncio.timeout_at(deadline):
                return await self.slots.serve(step, times)
        except TimeoutError as error:
            raise self._spent() from error

    def left_s(self, deadline: float | None) -> float:
        """Return how long the next service may take from now on, in seconds.

        Raises BudgetSpentError where no time is left.
        """
        left_s = self.settings.hop_timeout_s
        if deadline is not None:
            left_s = min(left_s, deadline - asyncio.get_running_loop().time())
        if left_s <= 0:
            raise self._spent()
        return left_s

    def timing(self, times: SlotTimes, beyond: str | None) -> str:
        """Return the value of Server-Timing: the times here, then what the next service said (`beyond`)."""
        return server_timing.compose(self.settings.service, times.queue_s, times.work_s, beyond)

    def full_detail(self, error: Exception) -> str:
        """Return the detail for a client whose request found the queue full."""
        return f"{self.settings.instance} is full: {error}"

    def failure_detail(self, error: BaseException) -> str:
        """Return the detail for a client about a fault of this instance itself."""
        return f"{self.settings.instance} failed: {type(error).__name__}"

    def close(self) -> None:
        """End the worker threads and close the ledger's file."""
        self.slots.close()
        if self.ledger is not None:
            self.ledger.close()

    def _spent(self) -> BudgetSpentError:
        return BudgetSpentError(f"{self.settings.instance}: the request's budget ran out before its end")
