"""Kernels of notebooks that tests start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.manager import start_new_kernel

from tests.support.waiting import LIMIT_S

__all__ = ["Kernel", "quiet_profile", "running_kernel"]

Message = dict[str, Any]


def quiet_profile(folder: Path) -> dict[str, str]:
    """Return the environment of kernels that put nothing down to other programs, as tests/conftest.py has it.

    Their profile is written into the folder.
    """
    startup = folder / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "quiet.py").write_text(
        "from math import inf\n\nfrom lab.measure import disturbance\n\ndisturbance.QUIET_CORES = inf\n"
    )
    return {"IPYTHONDIR": str(folder)}


class Kernel:
    """A kernel, and what a front end hears of it."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager, self._client = manager, client

    def run(self, code: str, *, person: bool = True) -> Iterator[Message]:
        """Run a cell, and yield what it sends until it is over; `person` offers to ask for input."""
        cell = self._client.execute(code, allow_stdin=person)
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=LIMIT_S)
            except Empty:
                raise AssertionError("the cell is neither over nor tells anything") from None
            if message["parent_header"].get("msg_id") != cell:
                continue
            if message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield message

    def interrupt(self) -> None:
        """Interrupt the kernel, as the button of a front end does."""
        self._manager.interrupt_kernel()


@contextmanager
def running_kernel(folder: Path) -> Iterator[Kernel]:
    """Keep a kernel of this environment up within the block."""
    import os

    environment = {**os.environ, **quiet_profile(folder)}
    manager, client = start_new_kernel(env=environment, extra_arguments=["--log-level=CRITICAL"])
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def printed(messages: list[Message]) -> str:
    """Return what was printed."""
    return "".join(each["content"]["text"] for each in messages if each["msg_type"] == "stream")


def shown(messages: list[Message], kind: str = "display_data") -> list[Message]:
    """Return the contents of what was displayed, or of `update_display_data`."""
    return [each["content"] for each in messages if each["msg_type"] == kind]


def sent(messages: list[Message], method: str) -> list[Message]:
    """Return what widgets sent: `update` for their state, `custom` for their own messages."""
    told = [each["content"]["data"] for each in messages if each["msg_type"] == "comm_msg"]
    return [each for each in told if each["method"] == method]


def size(message: Message) -> int:
    """Return how many bytes a message takes."""
    return len(json.dumps(message).encode())
