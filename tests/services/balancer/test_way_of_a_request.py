"""How many files a request passes: what a reader has to open to follow one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import services
from tests.support.balancing import balanced, echo, post

SERVICES = Path(services.__file__).parent
MOST_FILES = 16


class FilesCalled:
    """Collects the files of services/ in which a function is called, in the order of the first call."""

    def __init__(self) -> None:
        self.files: dict[str, None] = {}

    def __enter__(self) -> FilesCalled:
        sys.setprofile(self._on_event)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _on_event(self, frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(SERVICES):
            self.files[str(path.relative_to(SERVICES))] = None


async def test_the_first_request_on_a_new_connection_passes_few_files() -> None:
    async with balanced(echo) as b:
        await asyncio.sleep(0)  # what starting has left to do in the loop's next turn is no part of the way
        with FilesCalled() as called:
            response = await b.ask(post(b"x", headers="X-Never-Seen-Before: 1\r\n"))
        assert (response.status, response.body) == (200, b"service1a:x")
    assert "balancer/forward.py" in called.files
    assert len(called.files) <= MOST_FILES, list(called.files)
