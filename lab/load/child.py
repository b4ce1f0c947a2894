"""What happens in the generator's process: it is told what to do on stdin, line by line, and tells on stdout.

    parent  {"spec", "addresses", "share": [index, parts], "run", "parent"}
    child   {"ready": {"schedule_hash"}}
    parent  {"start_ns"}                        a time of the monotonic clock, which all processes share
    child   {"progress": {…}}                   now and then
    child   {"turned": {"slice"}}               from which on each of its users has had an answer
    parent  {"first_slice"}                     where the window begins, the same for all generators
    child   {"done": {"timeline", "totals", "dropped"}}
    parent  {"first_slice", "last_slice"}       what to tell of, also the same
    child   {"window": {"window", "health", "journal"}}

or at any time {"failed": {"error", "message"}}, for an error that is the user's to mend. The child ends when
stdin does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from lab.arrivals import Closed
from lab.errors import BadParameter, LabError
from lab.load import requests
from lab.load.endpoints import endpoint_of
from lab.load.generator import Generator, Share
from lab.load.process_limits import raise_fd_limit
from lab.load.result import usage_between
from lab.load.spec import LoadSpec, PipelineBody
from services.command import die_with
from services.loops import loop_name, run

__all__ = ["main"]

Hear = Callable[[], Awaitable[dict[str, Any]]]

_PROGRESS_S = 0.25


def main() -> None:
    """Generate load as told on stdin. Does not return before it is done or given up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the parent too, which then sees to us
    task = json.loads(sys.stdin.buffer.readline())
    die_with(task["parent"])
    try:
        run(_generate(task))
    except LabError as error:
        _tell("failed", {"error": type(error).__name__, "message": str(error)})


async def _generate(task: dict[str, Any]) -> None:
    spec = LoadSpec.from_json(task["spec"])
    site = endpoint_of(spec, task["addresses"])
    share = Share(*task["share"])
    hear = _listen()
    core = _take_core(spec, share)
    raise_fd_limit(share.of(spec.load.concurrency if isinstance(spec.load, Closed) else spec.max_connections))
    render = _renderer(spec, f"{task['run']}-{share.index}")
    schedule = spec.schedule()
    # Nothing made so far is ever garbage, and a request makes no cycles: collecting would only cost pauses.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    _tell("ready", {"schedule_hash": schedule.digest})
    generator = Generator(spec, site, share, schedule, render, (await hear())["start_ns"])
    async with asyncio.timeout(spec.deadline_s):
        await _run(generator, spec, hear)
    done = {
        "timeline": generator.recorder.timeline.to_json(),
        "totals": generator.recorder.totals,
        "dropped": len(generator.recorder.dropped),
    }
    _tell("done", done)
    asked = await hear()
    first, last = asked["first_slice"], asked["last_slice"]
    cores, delay = usage_between(generator.usage, first * spec.slice_ns, last * spec.slice_ns)
    health = {
        "cpu_cores": cores,
        "run_delay": delay,
        "connections": generator.in_flight.peak,
        "core": core,
        "timer": generator.timer,
        "loop": loop_name(),
    }
    window = generator.recorder.window(first, last).to_json()
    _tell("window", {"window": window, "health": health, "journal": generator.recorder.journal})
    await hear()  # there is nothing more to hear: the parent ends it when it has listened to all


async def _run(generator: Generator, spec: LoadSpec, hear: Hear) -> None:
    """Run the generator, and say now and then how far it is."""
    running = asyncio.gather(generator.run(), _agree(generator, hear))
    while not running.done():
        await asyncio.wait([running], timeout=_PROGRESS_S)
        progress = {
            "elapsed_s": generator.elapsed_s,
            "total_s": generator.last_slice * spec.slice_ns / 1e9,
            "succeeded": generator.recorder.succeeded,
            "failed": generator.recorder.failed,
            "in_flight": generator.in_flight.count,
        }
        _tell("progress", progress)
    await running


async def _agree(generator: Generator, hear: Hear) -> None:
    """Tell when every user here has had an answer, and hear where the window of all generators begins."""
    _tell("turned", {"slice": await generator.turned})
    generator.begin_window((await hear())["first_slice"])


def _renderer(spec: LoadSpec, prefix: str) -> requests.Render:
    rpc = requests.split_url(spec.url).scheme == "grpc"
    if isinstance(spec.body, PipelineBody):
        texts = [requests.cut(text, spec.body.payload_bytes) for text in requests.load(spec.body.corpus)]
        if rpc:
            from lab.load.grpc_endpoint import rpc_messages  # protobuf only for who speaks it

            return requests.numbered([(b"", message) for message in rpc_messages(texts, prefix)], prefix)
        given = {name.lower() for name, _ in spec.headers}
        kind = () if "content-type" in given else (("Content-Type", "application/json"),)
        bodies = requests.pipeline_bodies(texts, prefix)
        parts = [
            (requests.head(spec.method, spec.url, kind + spec.headers, size), body) for body, size in bodies
        ]
        return requests.numbered(parts, prefix)
    if rpc:
        return requests.constant(spec.body or b"")
    length = None if spec.body is None else len(spec.body)
    return requests.constant(requests.head(spec.method, spec.url, spec.headers, length) + (spec.body or b""))


def _take_core(spec: LoadSpec, share: Share) -> int | None:
    """Keep to one of the cores that the spec names, each generator in turn, where the system can."""
    if not spec.cpus or not hasattr(os, "sched_setaffinity"):
        return None
    core = spec.cpus[share.index % len(spec.cpus)]
    try:
        os.sched_setaffinity(0, (core,))
    except (OSError, OverflowError, ValueError) as error:
        there = sorted(os.sched_getaffinity(0))
        raise BadParameter(f"cpu {core} cannot be had: there are {there}") from error
    return core


def _listen() -> Hear:
    """Read stdin from now on. Gives what awaits the next line; the process ends at once when stdin does."""
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    rest = bytearray()

    def read() -> None:
        data = os.read(0, 65536)
        if not data:
            os._exit(0)
        rest.extend(data)
        while b"\n" in rest:
            line, _, after = bytes(rest).partition(b"\n")
            rest[:] = after
            lines.put_nowait(json.loads(line))

    asyncio.get_running_loop().add_reader(0, read)
    return lines.get


def _tell(key: str, value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({key: value}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
