"""The generator's process: lines of JSON come on stdin and say what to do, lines on stdout say how it went.

    parent  {"spec", "addresses", "share": [index, parts], "run", "parent"}
    child   {"ready": {"schedule_hash"}}
    parent  {"start_ns"}                        a time of the monotonic clock, which all processes share
    child   {"progress": {…}}                   now and then
    child   {"first_answers": {"slice"}}        from which on each of its users has had an answer
    parent  {"first_slice"}                     where the window begins, the same for all generators
    parent  {"stop_slice"}                      at any time: the run is cut short, and ends with that slice
    child   {"done": {"timeline", "totals", "dropped", "service_times", "errors"}}
    parent  {"first_slice", "last_slice"}       the window to report, also the same
    child   {"window": {"window", "health", "journal"}}

or at any time {"failed": {"error", "message"}}, for an error that the user can mend. The child ends when
stdin does. It imports nothing that only the parent needs (placement, pandas): that would delay its start.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from lab.arrivals import Closed
from lab.errors import BadParameter, LabError
from lab.load import requests
from lab.load.endpoints import endpoint_of
from lab.load.generator import Generator, Share
from lab.load.outcomes import name_of
from lab.load.process_limits import raise_fd_limit, usage_between
from lab.load.spec import LoadSpec, PipelineBody
from services.command import die_with
from services.loops import loop_name, run

__all__ = ["main"]

Receive = Callable[[], Awaitable[dict[str, Any]]]

_PROGRESS_S = 0.25


def main() -> None:
    """Generate load as stdin says. Does not return before the load is over or given up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the parent too, which ends this
    task = json.loads(sys.stdin.buffer.readline())
    die_with(task["parent"])
    try:
        run(_generate(task))
    except LabError as error:
        _send("failed", {"error": type(error).__name__, "message": str(error)})


async def _generate(task: dict[str, Any]) -> None:
    spec = LoadSpec.from_json(task["spec"])
    endpoint = endpoint_of(spec, task["addresses"])
    share = Share(*task["share"])
    receive = _listen()
    core = _take_core(spec, share)
    raise_fd_limit(share.of(spec.load.concurrency if isinstance(spec.load, Closed) else spec.max_connections))
    render = _renderer(spec, f"{task['run']}-{share.index}")
    schedule = spec.schedule()
    # Nothing made so far is ever garbage, and a request makes no cycles: collecting would only cost pauses.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    _send("ready", {"schedule_hash": schedule.digest})
    generator = Generator(spec, endpoint, share, schedule, render, (await receive())["start_ns"])
    async with asyncio.timeout(spec.deadline_s):
        await _run(generator, spec, receive)
    used_s = time.process_time()
    done = {
        "timeline": generator.recorder.timeline.to_json(),
        "totals": generator.recorder.totals,
        "dropped": len(generator.recorder.dropped),
        "service_times": asdict(generator.recorder.service_times),
        "errors": {name_of(code): text for code, text in generator.recorder.errors.items()},
    }
    _send("done", done)
    while "last_slice" not in (asked := await receive()):
        pass  # it came when the run was over
    first, last = asked["first_slice"], asked["last_slice"]
    used = usage_between(generator.usage, first * spec.slice_ns, last * spec.slice_ns)
    window = generator.recorder.window(first, last).to_json()
    health = {
        **asdict(used),
        "reading_cpu_s": time.process_time() - used_s,
        "pid": os.getpid(),
        "connections": generator.in_flight.peak,
        "core": core,
        "timer": generator.timer,
        "loop": loop_name(),
    }
    _send("window", {"window": window, "health": health, "journal": generator.recorder.journal})
    await receive()  # nothing more comes: the parent ends this process once it has heard all of them


async def _run(generator: Generator, spec: LoadSpec, receive: Receive) -> None:
    """Run the generator, and report now and then how far it is."""
    running = asyncio.ensure_future(generator.run())
    agreeing = asyncio.ensure_future(_agree(generator, receive))
    while not running.done():
        await asyncio.wait([running], timeout=_PROGRESS_S)
        progress = {
            "elapsed_s": generator.elapsed_s,
            "total_s": generator.last_slice * spec.slice_ns / 1e9,
            "succeeded": generator.recorder.succeeded,
            "failed": generator.recorder.failed,
            "in_flight": generator.in_flight.count,
            "p50_ms": generator.recorder.latest_p50_ms,
            "p99_ms": generator.recorder.latest_p99_ms,
        }
        _send("progress", progress)
    agreeing.cancel()
    await running


async def _agree(generator: Generator, receive: Receive) -> None:
    """Report when every user here has had an answer, and do what is agreed on: it may be to end the run."""
    generator.first_answers.add_done_callback(lambda known: _send("first_answers", {"slice": known.result()}))
    while True:
        asked = await receive()
        if "stop_slice" in asked:
            generator.cut_short(asked["stop_slice"])
        else:
            generator.begin_window(asked["first_slice"])


def _renderer(spec: LoadSpec, prefix: str) -> requests.Render:
    rpc = requests.split_url(spec.url).scheme == "grpc"
    if isinstance(spec.body, PipelineBody):
        texts = [
            requests.cut(text, spec.body.payload_bytes) for text in requests.load_corpus(spec.body.corpus)
        ]
        if rpc:
            from lab.load.grpc_endpoint import rpc_messages  # protobuf only where it is used

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


def _listen() -> Receive:
    """Read stdin from now on. Returns what awaits the next line; the process ends at once when stdin does."""
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


def _send(key: str, value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({key: value}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
