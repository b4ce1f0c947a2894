"""Run load from processes of its own, which share no interpreter lock with anything they measure.

Each runs `lab.load.child`, whose docstring lists the lines of JSON that pass through its stdin and stdout.
`run` starts them, agrees with all of them on one start and one window, and merges what they recorded.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import tempfile
import time
import uuid
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from lab import errors
from lab.children import child_command
from lab.errors import GeneratorFailed, LabError
from lab.load.outcomes import Outcome, own_failures
from lab.load.result import GeneratorHealth, LoadResult, MeasurementWindow, Progress, ServiceTimes, records_of
from lab.load.spec import LoadSpec, WarmupMode
from lab.load.timeline import Timeline, mser5

__all__ = ["COMMAND", "GeneratorProcess", "collect", "run"]

Message = dict[str, Any]

COMMAND = child_command("lab.load.child")


class GeneratorProcess:
    """A process that runs `lab.load.child`, started at once; `close` ends it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            process_group=0,  # an interrupt of the parent's group may wish for its end after this run
            # The zeros of its histograms are to take no memory, so no huge pages; and one thread is enough.
            env={**os.environ, "NUMPY_MADVISE_HUGEPAGE": "0", "OPENBLAS_NUM_THREADS": "1"},
        )
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor of the process's stdout, for a selector."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, message: Message) -> None:
        """Send one line. Raises GeneratorFailed if the process has ended."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._failed() from error

    def receive(self) -> list[Message]:
        """Return the lines that have come, after waiting for some.

        Raises GeneratorFailed if none will come, or the LabError that the child reports.
        """
        data = os.read(self.fileno(), 1 << 20)
        if not data:
            raise self._failed()
        *lines, self._rest = (self._rest + data).split(b"\n")
        messages: list[Message] = [json.loads(line) for line in lines]
        for message in messages:
            if "failed" in message:
                kind: type[LabError] = getattr(errors, message["failed"]["error"], LabError)
                raise kind(message["failed"]["message"])
        return messages

    def last_words(self) -> str:
        """Return the end of what the process wrote on stderr, to be put behind a message."""
        self._stderr.seek(0)
        text = self._stderr.read()[-4000:].decode(errors="replace").strip()
        return f"; its last words:\n{text}" if text else ""

    def gone_quiet(self, key: str, patience_s: float) -> GeneratorFailed:
        """Return what to raise where `key` has not come within `patience_s` seconds: it hung, or starved."""
        silence = f"no {key} within {patience_s:g} s"
        if _starved(self._process.pid, patience_s):
            return GeneratorFailed(
                f"{self.name} starved: {silence}, most of which it waited for a processor; "
                "end what else computes here, or allow this more"
            )
        return GeneratorFailed(f"{self.name} hung: {silence}{self.last_words()}")

    def close(self) -> None:
        """Kill the process if it still runs, and give back what it held."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # bytes may be left that the process no longer reads
                pipe.close()
        self._stderr.close()

    def _failed(self) -> GeneratorFailed:
        try:
            status = f"exit status {self._process.wait(timeout=5)}"
        except subprocess.TimeoutExpired:
            status = "it closed its stdout"
        return GeneratorFailed(f"{self.name} died ({status}){self.last_words()}")


def collect(
    processes: Sequence[GeneratorProcess],
    key: str,
    patience_s: float,
    on_progress: Callable[[list[Message]], None] | None = None,
) -> list[Message]:
    """Wait until every process has sent `key`; return what they sent under it, in their order.

    `on_progress` gets the latest progress of all processes whenever each has sent some. Raises
    GeneratorFailed when one dies, or has not sent `key` within `patience_s` seconds.
    """
    until = time.monotonic() + patience_s
    sent: dict[str, Message] = {}
    progress: dict[str, Message] = {}
    with selectors.DefaultSelector() as selector:
        for process in processes:
            selector.register(process.fileno(), selectors.EVENT_READ, process)
        while len(sent) < len(processes):
            ready = selector.select(max(0.0, until - time.monotonic()))
            if not ready and time.monotonic() >= until:
                late = next(process for process in processes if process.name not in sent)
                raise late.gone_quiet(key, patience_s)
            for selected, _ in ready:
                process = selected.data
                for message in process.receive():
                    if key in message:
                        sent[process.name] = message[key]
                    elif "progress" in message:
                        progress[process.name] = message["progress"]
            if on_progress is not None and len(progress) == len(processes):
                on_progress(list(progress.values()))
                progress.clear()
    return [sent[process.name] for process in processes]


def _starved(pid: int, of_s: float) -> bool:
    """Tell whether a process could have run in the last `of_s` seconds and mostly was not let. Linux only."""
    try:
        used_ns, waited_ns, _ = map(int, Path(f"/proc/{pid}/schedstat").read_text().split())
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return False
    return waited_ns > of_s / 2 * 1e9 or (state == "R" and used_ns < of_s / 4 * 1e9)


_START_S = 30.0
FEWEST_SLICES = 10
"""In the window of a run that is cut short, if only whole ones are to count."""
_LEAD_NS = 20_000_000
"""From sending the start to the start itself: enough for every generator to have read it."""


def run(
    spec: LoadSpec,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> LoadResult:
    """Put the load on and wait for its end; `on_progress` is called a few times a second.

    As often `stop` is asked: once it is true, the run ends and the result is of what came before, marked
    interrupted; of the warm-up where the window had not begun.

    Takes no longer than `spec.deadline_s` and the time to start. Raises BadParameter or RemoteRefused for a
    spec that cannot or may not be run, CorpusError, and GeneratorFailed when a generator died or hung.
    """
    addresses = spec.check()
    with _started(spec, addresses) as generators:
        return _Run(spec, generators, on_progress, stop).result()


class _Run:
    """One run of generators that are started: its start, its window, and what was recorded in it."""

    def __init__(
        self,
        spec: LoadSpec,
        generators: Sequence[GeneratorProcess],
        on_progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool] | None,
    ) -> None:
        self._spec = spec
        self._generators = generators
        self._on_progress = on_progress
        self._stop = stop
        self._start_ns = 0
        self._first = self._last = 0
        """The slices with which the window begins and ends; both 0 until that is known."""
        self._cut_ns: int | None = None
        """When the run was cut short, in ns from its start."""

    def result(self) -> LoadResult:
        """Wait for the run's end (see `run`)."""
        schedule_hash = collect(self._generators, "ready", _START_S)[0]["schedule_hash"]
        started_at = datetime.now(UTC)
        until = time.monotonic() + self._spec.deadline_s
        self._start_ns = time.monotonic_ns() + _LEAD_NS
        self._send({"start_ns": self._start_ns})
        answered = self._agree_on_window()
        done = collect(self._generators, "done", until - time.monotonic(), self._report)
        timeline = Timeline.merged(Timeline.from_json(one["timeline"]) for one in done)
        if self._spec.warmup_mode is WarmupMode.AUTO and self._cut_ns is None:
            settling = timeline.mean_response_ns(answered, self._last)
            self._first = answered + mser5(settling, self._first - answered)
        self._send({"first_slice": self._first, "last_slice": self._last})
        parts = collect(self._generators, "window", _START_S)
        return self._merged(schedule_hash, started_at, timeline, done, parts)

    def _agree_on_window(self) -> int:
        """Tell all generators where the window begins. Returns the slice in which every user was answered."""
        deadline_s = self._spec.deadline_s
        answers = collect(self._generators, "first_answers", deadline_s, self._report)
        answered = max(int(one["slice"]) for one in answers)
        if self._cut_ns is None:
            self._first = max(answered, self._spec.warmup_slices)
            self._last = self._first + self._spec.slices
            self._send({"first_slice": self._first})
        return answered

    def _report(self, parts: Sequence[Message]) -> None:
        """Pass on how far the generators are, and see whether to go on."""
        if self._on_progress is not None:
            self._on_progress(_together(parts))
        if self._stop is not None and self._cut_ns is None and self._stop():
            self._cut_short(time.monotonic_ns() - self._start_ns)

    def _cut_short(self, now_ns: int) -> None:
        """End the run now. Its window ends with it; before its first slice is over, it is all that was."""
        self._cut_ns = now_ns
        past = now_ns // self._spec.slice_ns
        if past <= self._first or not self._last:
            self._first = 0
        short = past - self._first < FEWEST_SLICES  # then what has begun of a slice is of use
        self._last = min(past + short, self._last or past + 1)
        self._send({"stop_slice": self._last})

    def _send(self, message: Message) -> None:
        for generator in self._generators:
            generator.send(message)

    def _merged(
        self,
        schedule_hash: str,
        started_at: datetime,
        timeline: Timeline,
        done: Sequence[Message],
        parts: Sequence[Message],
    ) -> LoadResult:
        """Return what all generators recorded, in the whole run and in the window."""
        window = MeasurementWindow.merged(MeasurementWindow.from_json(part["window"]) for part in parts)
        totals = sum((Counter(one["totals"]) for one in done), Counter[str]())
        failures = dict(ChainMap(*(one["errors"] for one in done)))
        if self._cut_ns is not None:  # what was in flight then is no failure
            for by_outcome in (window.outcomes, totals, failures):
                by_outcome.pop(Outcome.UNANSWERED, None)
        begin_ns, end_ns = (n * self._spec.slice_ns for n in (self._first, self._last))
        return LoadResult(
            spec=self._spec,
            started_at=started_at,
            schedule_hash=schedule_hash,
            warmup_s=begin_ns / 1e9,
            window_s=(min(end_ns, self._cut_ns or end_ns) - begin_ns) / 1e9,
            window=window,
            totals=dict(totals),
            dropped_in_all=sum(one["dropped"] for one in done) + sum(own_failures(totals).values()),
            timeline=timeline,
            first_slice=self._first,
            last_slice=self._last,
            generators=tuple(GeneratorHealth(**part["health"]) for part in parts),
            journal=records_of(row for part in parts for row in part["journal"]),
            errors=failures,
            interrupted=self._cut_ns is not None,
            service_times=ServiceTimes.merged(ServiceTimes(**one["service_times"]) for one in done),
        )


@contextmanager
def _started(spec: LoadSpec, addresses: Sequence[str]) -> Iterator[list[GeneratorProcess]]:
    """Start the generators and send each its share. None is left running."""
    run_id = uuid.uuid4().hex[:8]
    generators: list[GeneratorProcess] = []
    with ExitStack() as stack:
        for index in range(spec.processes):
            generator = GeneratorProcess(f"load generator {index + 1}")
            stack.callback(generator.close)
            generators.append(generator)
        for index, generator in enumerate(generators):
            task = {
                "spec": spec.to_json(),
                "addresses": addresses,
                "share": [index, spec.processes],
                "run": run_id,
                "parent": os.getpid(),
            }
            generator.send(task)
        yield generators


def _together(parts: Sequence[dict[str, Any]]) -> Progress:
    known = [(part["p50_ms"], part["p99_ms"]) for part in parts if part["p50_ms"] is not None]
    return Progress(
        elapsed_s=max(part["elapsed_s"] for part in parts),
        total_s=max(part["total_s"] for part in parts),
        succeeded=sum(part["succeeded"] for part in parts),
        failed=sum(part["failed"] for part in parts),
        in_flight=sum(part["in_flight"] for part in parts),
        p50_ms=median(p50 for p50, _ in known) if known else None,
        p99_ms=max(p99 for _, p99 in known) if known else None,
    )
