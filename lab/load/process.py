"""Load from processes of its own, which share no interpreter lock with anything they measure.

`python -m lab.load.process` is such a process; `lab.load.child` tells what is said on its stdin and stdout.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

from lab.load.journal import entries_of
from lab.load.result import GeneratorHealth, LoadResult, Progress
from lab.load.run import GeneratorProcess, collect
from lab.load.spec import LoadSpec, WarmupMode
from lab.load.timeline import Timeline
from lab.load.warmup import mser5
from lab.load.window import Window

__all__ = ["run"]

_START_S = 30.0
_LEAD_NS = 20_000_000
"""Between the word and the start: enough for every generator to have heard it."""


def run(spec: LoadSpec, *, on_progress: Callable[[Progress], None] | None = None) -> LoadResult:
    """Put the load on and wait for its end; `on_progress` is called a few times a second meanwhile.

    Takes no longer than `spec.deadline_s` and the time to start. Raises BadParameter or RemoteRefused for a
    spec that cannot or may not be run, CorpusError, and GeneratorFailed when a generator died or hung.
    """
    addresses = spec.check()

    def report(parts: list[dict[str, Any]]) -> None:
        if on_progress is not None:
            on_progress(_together(parts))

    with _started(spec, addresses) as generators:
        schedule_hash = collect(generators, "ready", _START_S)[0]["schedule_hash"]
        started_at = datetime.now(UTC)
        _tell(generators, {"start_ns": time.monotonic_ns() + _LEAD_NS})
        until = time.monotonic() + spec.deadline_s
        turned = max(one["slice"] for one in collect(generators, "turned", spec.deadline_s, report))
        first = max(turned, spec.warmup_slices)
        last = first + spec.slices
        _tell(generators, {"first_slice": first})
        done = collect(generators, "done", until - time.monotonic(), report)
        timeline = Timeline.merged(Timeline.from_json(one["timeline"]) for one in done)
        if spec.warmup_mode is WarmupMode.AUTO:
            first = turned + mser5(timeline.mean_response_ns(turned, last), first - turned)
        _tell(generators, {"first_slice": first, "last_slice": last})
        parts = collect(generators, "window", _START_S)
    return LoadResult(
        spec=spec,
        started_at=started_at,
        schedule_hash=schedule_hash,
        warmup_s=first * spec.slice_ns / 1e9,
        window_s=(last - first) * spec.slice_ns / 1e9,
        window=Window.merged(Window.from_json(part["window"]) for part in parts),
        totals=dict(sum((Counter(one["totals"]) for one in done), Counter())),
        dropped_in_all=sum(one["dropped"] for one in done),
        timeline=timeline,
        first_slice=first,
        last_slice=last,
        generators=tuple(GeneratorHealth(**part["health"]) for part in parts),
        journal=entries_of(row for part in parts for row in part["journal"]),
    )


@contextmanager
def _started(spec: LoadSpec, addresses: Sequence[str]) -> Iterator[list[GeneratorProcess]]:
    """The generators, each told its share and whither. None is left running."""
    run_id = uuid.uuid4().hex[:8]
    generators: list[GeneratorProcess] = []
    with ExitStack() as stack:
        for index in range(spec.processes):
            generator = GeneratorProcess(f"load generator {index + 1}")
            stack.callback(generator.end)
            generators.append(generator)
        for index, generator in enumerate(generators):
            task = {
                "spec": spec.to_json(),
                "addresses": addresses,
                "share": [index, spec.processes],
                "run": run_id,
                "parent": os.getpid(),
            }
            generator.tell(task)
        yield generators


def _tell(generators: Sequence[GeneratorProcess], message: dict[str, Any]) -> None:
    for generator in generators:
        generator.tell(message)


def _together(parts: Sequence[dict[str, Any]]) -> Progress:
    return Progress(
        elapsed_s=max(part["elapsed_s"] for part in parts),
        total_s=max(part["total_s"] for part in parts),
        succeeded=sum(part["succeeded"] for part in parts),
        failed=sum(part["failed"] for part in parts),
        in_flight=sum(part["in_flight"] for part in parts),
    )


if __name__ == "__main__":
    from lab.load.child import main

    main()
