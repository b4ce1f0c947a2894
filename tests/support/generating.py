"""Run a generator without its process: that is quicker to start, and open to inspection."""

from __future__ import annotations

import asyncio
import time

from lab.load import requests
from lab.load.endpoints import endpoint_of
from lab.load.generator import Generator, Share
from lab.load.spec import LoadSpec
from services.loops import run


def generate(spec: LoadSpec, *, held: tuple[float, float] | None = None) -> Generator:
    """Run the whole load in this process, to its end. It hangs from `held[0]` seconds on, for `held[1]`."""

    async def main() -> Generator:
        body = b"x" * 10 if spec.method == "POST" else b""
        request = requests.head(spec.method, spec.url, spec.headers, len(body) or None) + body
        schedule = spec.schedule()
        start = time.monotonic_ns()
        endpoint = endpoint_of(spec, spec.check())
        generator = Generator(spec, endpoint, Share(0, 1), schedule, requests.constant(request), start)
        if held:
            asyncio.get_running_loop().call_later(held[0], time.sleep, held[1])
        async with asyncio.TaskGroup() as group:
            group.create_task(generator.run())
            generator.begin_window(max(spec.warmup_slices, await generator.first_answers))
        return generator

    return run(main())
