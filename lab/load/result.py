"""Results of a run of load: raw figures, without a verdict on them.

`LoadResult` is the whole run. It holds the `MeasurementWindow`, of one generator or of several together, and
where the spec asks for it the request log: a `RequestRecord` for every request of the run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.load.histogram import Histogram
from lab.load.outcomes import (
    OWN_LIMITS,
    Outcome,
    OwnLimit,
    is_success,
    name_of,
    own_failures,
    succeeded,
    was_sent,
)
from lab.load.spec import LoadSpec
from lab.load.timeline import Timeline

__all__ = [
    "GeneratorHealth",
    "LoadResult",
    "MeasurementWindow",
    "Progress",
    "RequestRecord",
    "ServiceTimes",
    "records_of",
]

Column = NDArray[np.int64]

LEAST_IN_USE = 0.9
"""Share of an open loop's connections that are in use on average where their number bounds the figures."""
MOST_WAITED = 0.01
"""Share of the requests due that may wait for a connection: they would move the 99th percentile."""
MOST_GROWTH = 1.25
"""Factor by which a server's answers grow slower, once all connections are in use, if it has a queue."""


@dataclass(frozen=True, slots=True)
class MeasurementWindow:
    """What was recorded of requests intended to start in one window."""

    outcomes: dict[str, int]
    """The number of requests by name of outcome; those dropped are not among them."""
    dropped: int
    """Requests never sent, because the run was over first."""
    waited: int
    """Requests that waited for a connection while all that an open loop may have were in use."""
    response_time: Histogram
    """Of successes, from the intended start."""
    service_time: Histogram
    """Of successes, from the actual send."""
    schedule_lag: Histogram
    """How late the pacer was with each intended start."""
    stages: dict[str, tuple[float, int]]
    """By Server-Timing metric: milliseconds in all, and the number of successes that named it."""

    @classmethod
    def merged(cls, windows: Iterable[MeasurementWindow]) -> MeasurementWindow:
        """Return the window of several generators together."""
        parts = list(windows)
        outcomes: Counter[str] = Counter()
        stages: dict[str, tuple[float, int]] = {}
        for part in parts:
            outcomes.update(part.outcomes)
            for metric, (total, count) in part.stages.items():
                before = stages.get(metric, (0.0, 0))
                stages[metric] = (before[0] + total, before[1] + count)
        return cls(
            outcomes=dict(outcomes),
            dropped=sum(part.dropped for part in parts),
            waited=sum(part.waited for part in parts),
            response_time=Histogram.merged(part.response_time for part in parts),
            service_time=Histogram.merged(part.service_time for part in parts),
            schedule_lag=Histogram.merged(part.schedule_lag for part in parts),
            stages=stages,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data, histograms encoded as HdrHistogram's base64."""
        return {
            "outcomes": self.outcomes,
            "dropped": self.dropped,
            "waited": self.waited,
            "response_time": self.response_time.to_json(),
            "service_time": self.service_time.to_json(),
            "schedule_lag": self.schedule_lag.to_json(),
            "stages": self.stages,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MeasurementWindow:
        """Read what `to_json` gave."""
        return cls(
            outcomes=data["outcomes"],
            dropped=data["dropped"],
            waited=data["waited"],
            response_time=Histogram.from_json(data["response_time"]),
            service_time=Histogram.from_json(data["service_time"]),
            schedule_lag=Histogram.from_json(data["schedule_lag"]),
            stages={metric: (total, count) for metric, (total, count) in data["stages"].items()},
        )


@dataclass(slots=True)
class ServiceTimes:
    """Service times of successes, in ns in all, before and after all connections were first in use."""

    before_ns: int = 0
    before: int = 0
    after_ns: int = 0
    after: int = 0

    def add(self, sent_ns: Column, service_ns: Column, in_use_ns: int | None) -> None:
        """Add successes by the times of their sends; `in_use_ns` is when all were first in use, if ever."""
        early = np.ones(len(sent_ns), dtype=bool) if in_use_ns is None else sent_ns < in_use_ns
        self.before += int(np.count_nonzero(early))
        self.before_ns += int(service_ns[early].sum())
        self.after += int(np.count_nonzero(~early))
        self.after_ns += int(service_ns[~early].sum())

    @classmethod
    def merged(cls, parts: Iterable[ServiceTimes]) -> ServiceTimes:
        """Return those of several generators together."""
        return cls(*(sum(column) for column in zip(*map(astuple, parts), strict=True)))

    def grew(self) -> bool:
        """Tell whether answers took longer once all connections were in use, or there is nothing to tell by.

        So it is where the server has a queue: what bounds the throughput is the server. Where a server
        answers as fast as before, the number of connections does.
        """
        if not (self.before and self.after):
            return True
        return self.after_ns / self.after > MOST_GROWTH * self.before_ns / self.before


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request of the log. Times are of `time.monotonic_ns`, which all processes of a machine share."""

    intended_ns: int
    sent_ns: int
    """0 where no connection could be made."""
    ended_ns: int
    outcome: str
    """The name of the outcome, such as `http_200` or `refused`."""

    @property
    def succeeded(self) -> bool:
        """Whether the request was answered with a status of success."""
        return is_success(self.outcome)

    @property
    def response_time_s(self) -> float:
        """Seconds from the intended start to the end, whatever the outcome."""
        return (self.ended_ns - self.intended_ns) / 1e9


def records_of(rows: Iterable[Sequence[int]]) -> tuple[RequestRecord, ...]:
    """Return the records of rows (intended start, send, end, outcome's code), sorted by intended start."""
    records = (RequestRecord(intended, sent, ended, name_of(code)) for intended, sent, ended, code in rows)
    return tuple(sorted(records, key=lambda record: record.intended_ns))


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a run; counts are of all generators since the start."""

    elapsed_s: float
    total_s: float
    """When sending will end, as far as is known."""
    succeeded: int
    failed: int
    in_flight: int
    p50_ms: float | None = None
    """Median response_time of the latest answers."""
    p99_ms: float | None = None
    """99th percentile of the response_time of the latest answers, however few they are."""


@dataclass(frozen=True, slots=True)
class GeneratorHealth:
    """The state of one generator's process in the window."""

    cpu_cores: float
    """Processor time used, in seconds a second."""
    run_delay: float | None
    """Time that threads were ready and not let run, in seconds a second; None but on Linux."""
    connections: int
    """The most that were in flight at once."""
    timer: str
    """What kept time: timerfd, or timer and spin."""
    loop: str
    """The event loop: uvloop or asyncio."""
    core: int | None = None
    """The core that the process was kept on; None if it ran on any."""
    pid: int | None = None
    timeslices: float | None = None
    """Times a second that a thread was let run; None but on Linux."""
    waits: tuple[int, ...] = ()
    """How many waits lasted about as long as each of WAIT_EDGES_MS (lab.load.process_limits)."""
    reading_cpu_s: float = 0.0
    """Processor time in s that it took, once the run was over, to read what had been recorded."""


_SHORTAGES = {
    OwnLimit.CONNECTIONS: "all {} connections are in use, so allow more (--concurrency)",
    OwnLimit.PORTS: "no local port is left to connect from, so use fewer connections or widen the range"
    " (net.ipv4.ip_local_port_range)",
    OwnLimit.DESCRIPTORS: "no more files can be opened, so allow more (ulimit -n) or use fewer connections",
    OwnLimit.MEMORY: "no memory is left for a connection, so use fewer",
}


@dataclass(frozen=True, slots=True)
class LoadResult:
    """One run, several generators taken together. Everything but `totals` and `timeline` is of the window."""

    spec: LoadSpec
    started_at: datetime
    """In UTC."""
    schedule_hash: str
    """Digest of model, parameters, seed and every intended start."""
    warmup_s: float
    """Seconds that were in fact cut off before the window."""
    window_s: float
    """Length of the window in fact, in seconds."""
    window: MeasurementWindow
    """Outcomes, histograms and stages of the requests intended to start in the window."""
    totals: dict[str, int]
    """Outcomes of the whole run by name: every attempt, warm-up and drain included."""
    dropped_in_all: int
    """Requests of the whole run that were due and never sent."""
    timeline: Timeline
    """The whole run; the window is slices `first_slice` to `last_slice`, the last not included."""
    first_slice: int
    last_slice: int
    generators: tuple[GeneratorHealth, ...]
    journal: tuple[RequestRecord, ...] = ()
    """The request log: every request of the whole run, where the spec asks for it."""
    errors: Mapping[str, str] = field(default_factory=dict)
    """What the first failure of each class was about, in a line, by name of outcome; of the whole run."""
    service_times: ServiceTimes = field(default_factory=ServiceTimes)
    """Of the whole run."""
    interrupted: bool = False
    """Whether the run was cut short: all figures are of what came before."""

    @property
    def before_window(self) -> bool:
        """Whether the run was cut short before its window began, so that all figures are of the warm-up."""
        return self.interrupted and self.first_slice < self.spec.warmup_slices

    @property
    def requests(self) -> int:
        """Requests made: succeeded and failed, without those dropped."""
        return sum(self.window.outcomes.values()) - sum(self.own_failures.values())

    @property
    def succeeded(self) -> int:
        """Requests answered with a status of success."""
        return succeeded(self.window.outcomes)

    @property
    def failed(self) -> int:
        """Requests that failed in whatever way."""
        return self.requests - self.succeeded

    @property
    def failures(self) -> dict[str, int]:
        """Failed requests by outcome, most frequent first."""
        return _failures(self.window.outcomes)

    @property
    def failures_in_all(self) -> dict[str, int]:
        """Failed requests of the whole run by outcome, most frequent first."""
        return _failures(self.totals)

    @property
    def own_failures(self) -> dict[str, int]:
        """Requests not sent for want of something of the generator's own, by outcome: dropped ones."""
        return own_failures(self.window.outcomes)

    @property
    def own_limits(self) -> tuple[OwnLimit, ...]:
        """What of the generator's own ran short, so that figures tell of the generator, not of the server."""
        bound = (OwnLimit.CONNECTIONS,) if self._connections_bound() else ()
        return (*bound, *(OWN_LIMITS[Outcome(name)] for name in own_failures(self.totals)))

    @property
    def shortage(self) -> str | None:
        """What of the generator's own ran short, in words, and the remedy; None if nothing did."""
        texts = (_SHORTAGES[limit].format(self.spec.max_connections) for limit in self.own_limits)
        return ", and ".join(texts) or None

    @property
    def statuses(self) -> dict[str, int]:
        """Successes by outcome, such as `http_200` and `http_302`, most frequent first."""
        counts = Counter({k: n for k, n in self.window.outcomes.items() if is_success(k)})
        return dict(counts.most_common())

    @property
    def dropped(self) -> int:
        """Requests due in the window and never sent."""
        return self.window.dropped + sum(self.own_failures.values())

    @property
    def sent_in_all(self) -> int:
        """Requests of the whole run that went out on a connection: what the server saw begin."""
        return was_sent(self.totals)

    @property
    def achieved_rate(self) -> float:
        """Requests a second that really went out."""
        return was_sent(self.window.outcomes) / self.window_s

    @property
    def throughput_rps(self) -> float:
        """Successes a second between first and last completion in the window; nan with fewer than two."""
        rate = self.timeline.throughput_rps(self.first_slice, self.last_slice)
        return self.succeeded / self.window_s if self.interrupted and math.isnan(rate) else rate

    @property
    def in_flight_mean(self) -> float:
        """Requests sent and not yet answered, on average over time."""
        slices_s = (self.last_slice - self.first_slice) * self.timeline.slice_ns / 1e9
        return self.timeline.in_flight_mean(self.first_slice, self.last_slice) * slices_s / self.window_s

    @property
    def completion_rate(self) -> float:
        """Requests sent that ended in the window, well or not, a second: X of Little's law."""
        return int(self.timeline.completed[self.first_slice : self.last_slice].sum()) / self.window_s

    @property
    def residence_s(self) -> float:
        """Mean seconds from send to end, of requests that ended in the window: R of Little's law, or nan."""
        ended = int(self.timeline.completed[self.first_slice : self.last_slice].sum())
        total = int(self.timeline.service_ns[self.first_slice : self.last_slice].sum())
        return total / ended / 1e9 if ended else float("nan")

    @property
    def drift(self) -> float:
        """Relative change of mean response time from the first to the last third; nan if unknown."""
        return self.timeline.drift(self.first_slice, self.last_slice)

    @property
    def stages_ms(self) -> dict[str, float]:
        """By Server-Timing metric, such as `service1-queue`: the mean in ms over successes that named it."""
        return {metric: total / count for metric, (total, count) in self.window.stages.items()}

    def _connections_bound(self) -> bool:
        """Tell whether an open loop's connections were all in use, and bounded what the server answered."""
        is_open = self.spec.load.requested_rate is not None
        due = self.requests + self.dropped
        in_use = self.in_flight_mean > LEAST_IN_USE * self.spec.max_connections
        return is_open and in_use and self.window.waited > MOST_WAITED * due and not self.service_times.grew()


def _failures(outcomes: Mapping[str, int]) -> dict[str, int]:
    own = own_failures(outcomes)
    counts = Counter({k: n for k, n in outcomes.items() if not is_success(k) and k not in own})
    return dict(counts.most_common())
