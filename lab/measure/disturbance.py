"""Estimate what other programs did to the numbers of a row: pure arithmetic on what the scheduler counted.

A thread that is ready and not let run waits, and with it every request that needs it then. Of each process
that requests pass we know how long it waited in all (run delay), how often it was let run, and how busy it
was; and of the machine, how much others computed meanwhile. From that:

- Of a wait, others caused the share that they had of the CPU which others and the trial's other processes
  used: servers that wait for each other are the result, not a disturbance.
- A wait delays one request, or as many as stand at the process: 1 / (1 - busy), and no more than are in
  flight. Wait a second, over requests a second, is what one request was delayed.
- Where a service has slots, a wait lengthens the time in the slot, and everybody in the queue waits that much
  longer too: what the slot time exceeds the one that was set by, for as many slots as a request waited.
- A closed loop answers fewer requests as they take longer, by the same share. An open loop does not.
- High percentiles are moved by long waits, and the mean by all. Of the long ones we know as many as the
  generator met itself: with k waits on its way, a request meets one that only (1 - q) / k are longer than.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "MOST_CPU",
    "TOLERANCE",
    "Disturbance",
    "DisturbanceSource",
    "ProcessorUse",
    "StageTimes",
    "WindowFigures",
    "estimate",
]

TOLERANCE = 0.05
"""A number that may have moved by a larger share is not printed."""
QUIET_CORES = 0.05
"""Where others use less, the machine is quiet, and nothing is put down to them."""
MOST_CPU = 0.9
"""Cores from which on the generator's own CPU is taken for the limit: its requests queue for it."""
TIMER_MS = 0.3
"""What a slot takes beyond what was set where nobody disturbs it, as a loop's timers count milliseconds."""
MOST_LAG_MS = 1.0
"""A pacer that is let run is no later, on any system."""
MEDIAN = 0.5
NOTABLE = 0.01
"""Nobody is named as the source of a disturbance that moved no number by more than this share."""
MOST_OF_A_TIME = 0.95
"""No more of a time is put down to a disturbance."""
MOST_FOLLOWERS = 10.0
"""So many times is a longer slot time counted at most for those who queue in an open loop."""


class DisturbanceSource(StrEnum):
    """Where a disturbance came from."""

    GENERATOR = "generator"
    """The generator's own use of the processor."""
    OTHERS = "others"
    """Programs outside the trial, which kept the generator or the servers waiting."""


@dataclass(frozen=True, slots=True)
class ProcessorUse:
    """What the threads of one process used of the processor in a window, in seconds a second."""

    cpu_cores: float
    run_delay: float
    """Ready, and not let run."""
    timeslices: float
    """Times a second that a thread of it was let run."""
    busiest: float
    """Of its busiest thread, the share of time that it ran or was ready to."""
    stolen: float = 0.0
    """Time that the host of a virtual machine took while it ran."""


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Mean times of one service in ms, as it reports them."""

    work_ms: float
    """In the slot."""
    queue_ms: float = 0.0
    """For the slot."""
    set_ms: float | None = None
    """What was set to be the time in the slot; None where nothing was."""
    scatter_ms: float = 0.0
    """How far chance alone moves the mean time in the slot from what was set."""
    utilization: float = 0.0
    """Share of the time that its slots are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFigures:
    """What was seen of one window. What is None or empty is unknown, and moves nothing."""

    answers_per_s: float
    in_flight: float
    closed: bool
    think_ms: float = 0.0
    """Pause between an answer and the next request in a closed loop."""
    behind: float = 0.0
    """Share of the arrivals of an open loop that were not answered in time."""
    mean_ms: float
    """Response time."""
    times_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By column: a percentile in ms, and which quantile it is; 1 is the longest."""
    overhead_ms: float | None = None
    stages: Mapping[str, StageTimes] = field(default_factory=dict)
    """By service."""
    lag_ms: float = 0.0
    """Mean lateness of the pacer."""
    others_cpu_cores: float | None = None
    own_cpu_cores: float = 0.0
    generators: tuple[ProcessorUse, ...] = ()
    servers: tuple[ProcessorUse, ...] = ()
    waits: tuple[int, ...] = ()
    """Of the generators, counted by WAIT_EDGES_MS."""
    waits_of: float = 1.0
    """How often the generators were let run in the window."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What a disturbance may have done."""

    added_ms: float = 0.0
    """To the mean response time."""
    moves: Mapping[str, float] = field(default_factory=dict)
    """By column: the share by which its number may have moved."""
    source: DisturbanceSource | None = None
    """None where no number moved to speak of."""

    @property
    def share(self) -> float:
        """The largest share of any number."""
        return max(self.moves.values(), default=0.0)

    def beyond(self, tolerance: float = TOLERANCE) -> frozenset[str]:
        """Return the columns whose numbers may have moved by more than that share."""
        return frozenset(name for name, share in self.moves.items() if share > tolerance)


def estimate(seen: WindowFigures) -> Disturbance:
    """Return what others and the generator itself may have done to each number of a window."""
    if not (seen.answers_per_s > 0 and seen.mean_ms > 0):
        return Disturbance()
    most_ms = MOST_OF_A_TIME * seen.mean_ms
    own_ms = min(_own_ms(seen), most_ms)
    longer = _longer_slots(seen)
    in_slots_ms = math.fsum(added * _followers(seen, seen.stages[name]) for name, added in longer.items())
    beside_ms = _beside_slots_ms(seen, longer)
    others_ms = min(in_slots_ms + beside_ms * _not_absorbed(seen), most_ms)
    added_ms = min(own_ms + others_ms, most_ms)
    moves = {
        **_of_rates(seen, added_ms, longer),
        **dict(_of_times(seen, added_ms)),
        **dict(_of_stages(seen, longer)),
    }
    if seen.overhead_ms is not None and seen.overhead_ms > 0:
        moves["overhead_ms"] = _relative(own_ms + _in_overhead_ms(seen), seen.overhead_ms)
    found = Disturbance(added_ms, moves)
    source = DisturbanceSource.GENERATOR if own_ms > others_ms else DisturbanceSource.OTHERS
    return Disturbance(added_ms, moves, source) if found.share > NOTABLE else found


def _own_ms(seen: WindowFigures) -> float:
    """Return what a request waited for the generator's own CPU, in ms: as in a queue of one server, M/M/1."""
    busiest = max((use.cpu_cores for use in seen.generators), default=0.0)
    if busiest < MOST_CPU:
        return 0.0
    each_ms = busiest / (seen.answers_per_s / len(seen.generators)) * 1000
    return each_ms * min(1 / max(1 - busiest, 1e-3), max(1.0, seen.in_flight))


def _lag_ms(seen: WindowFigures) -> float:
    """Return how late the pacer was on average because others kept it, in ms.

    Lateness that no pacer has by itself is no result of the servers, whoever caused it.
    """
    return max(seen.lag_ms * _share_of_generators(seen), seen.lag_ms - MOST_LAG_MS)


def _waited_ms(seen: WindowFigures) -> float:
    """Return what others made a request wait at the servers, in ms."""
    return math.fsum(
        _kept(seen, use) * _standing(seen, use) / seen.answers_per_s * 1000 for use in seen.servers
    )


def _sending_ms(seen: WindowFigures) -> float:
    """Return what others made a request wait at its generator, in ms: to be sent, and to be answered."""
    return max(_receiving_ms(seen, 1.0 if seen.closed else 2.0), _lag_ms(seen))


def _receiving_ms(seen: WindowFigures, needed: float = 1.0) -> float:
    """Return what others made a request wait at its generator, in ms, which needs it so often.

    A generator is let run for other purposes too, so it is the mean wait that counts.
    """
    each_s = seen.answers_per_s / max(1, len(seen.generators))
    waits_ms = (
        _kept(seen, use) / use.timeslices * min(needed, use.timeslices / each_s) * 1000 * _standing(seen, use)
        for use in seen.generators
        if use.timeslices > 0
    )  # fmt: skip
    return max(waits_ms, default=0.0)


def _beside_slots_ms(seen: WindowFigures, longer: Mapping[str, float]) -> float:
    """Return what others made a request wait outside of slots, in ms."""
    if seen.overhead_ms is None:
        return max(0.0, _waited_ms(seen) - math.fsum(longer.values())) + _sending_ms(seen)
    return _in_overhead_ms(seen) + _lag_ms(seen)


def _in_overhead_ms(seen: WindowFigures) -> float:
    """Return how much of the overhead others made, in ms.

    Outside of slots and queues a request needs a process that runs, and that is never idle then: it runs, or
    it waits to. So the overhead is parted as the time of the processes is.
    """
    overhead_ms, uses = max(0.0, seen.overhead_ms or 0.0), seen.servers or seen.generators
    needed = math.fsum(use.run_delay + use.cpu_cores + use.stolen for use in uses)
    kept = math.fsum(_kept(seen, use) for use in uses)
    waited_ms = overhead_ms * kept / needed if needed > 0 else 0.0
    return min(max(waited_ms, _receiving_ms(seen)), overhead_ms)


def _not_absorbed(seen: WindowFigures) -> float:
    """Return which part of a delay outside of slots makes an answer later.

    In a closed loop that queues, who comes later waits less for a slot. One asymptote of such a network is
    a rate that slots alone decide, the other one where nobody waits (Denning and Buzen 1978); between them
    it depends on what is idle, as the others in flight see it, and on how much queue there is to absorb it.
    """
    if not seen.closed or not seen.stages:
        return 1.0
    busiest = max(seen.stages.values(), key=lambda stage: stage.utilization)
    queue_ms = math.fsum(stage.queue_ms for stage in seen.stages.values())
    idle = 1 - busiest.utilization * (seen.in_flight - 1) / max(seen.in_flight, 1.0)
    queued = queue_ms / (queue_ms + busiest.work_ms) if queue_ms > 0 else 0.0
    return 1 - (1 - math.sqrt(min(1.0, max(0.0, idle)))) * queued


def _caused(seen: WindowFigures, use: ProcessorUse) -> float:
    """Return the share of a process's waits that others caused."""
    others = seen.others_cpu_cores
    if others is None or others < QUIET_CORES:
        return 0.0
    return others / (others + max(0.0, seen.own_cpu_cores - use.cpu_cores))


def _kept(seen: WindowFigures, use: ProcessorUse) -> float:
    """Return what others kept a process from running, in seconds a second."""
    caused = _caused(seen, use)
    return use.run_delay * caused + (use.stolen if caused else 0.0)


def _standing(seen: WindowFigures, use: ProcessorUse) -> float:
    """Return how many requests a wait of that process delays."""
    return min(1 / max(1 - use.busiest, 1e-3), max(1.0, seen.in_flight))


def _share_of_generators(seen: WindowFigures) -> float:
    return max((_caused(seen, use) for use in seen.generators), default=0.0)


def _longer_slots(seen: WindowFigures) -> dict[str, float]:
    """Return by how many ms others lengthened the time in a slot of each service, where one was set."""
    caused = max((_caused(seen, use) for use in seen.servers), default=0.0)
    waited_ms = _waited_ms(seen)
    return {
        name: min(max(0.0, stage.work_ms - stage.set_ms - stage.scatter_ms - TIMER_MS) * caused, waited_ms)
        for name, stage in seen.stages.items()
        if stage.set_ms is not None
    }


def _followers(seen: WindowFigures, stage: StageTimes) -> float:
    """Return how many slot times a request spends at a service: its own, and those it waits for.

    In an open loop, longer slots also lengthen the queue.
    """
    if stage.work_ms <= 0:
        return 1.0
    waited = stage.queue_ms / stage.work_ms
    if not seen.closed:
        waited *= min(1 + 1 / max(1 - stage.utilization, 1e-3), MOST_FOLLOWERS)
    return 1 + waited


def _of_rates(seen: WindowFigures, added_ms: float, longer: Mapping[str, float]) -> dict[str, float]:
    if seen.closed:
        share = added_ms / (seen.mean_ms + seen.think_ms)
        return {"throughput_rps": share, "achieved_rate": share}
    if seen.behind <= NOTABLE:  # what arrives is answered, however long it takes
        return {"throughput_rps": 0.0}
    slots = (added / seen.stages[name].work_ms for name, added in longer.items() if added > 0)
    threads = (_kept(seen, use) / max(use.busiest, use.cpu_cores, 1e-9) for use in seen.servers)
    return {"throughput_rps": min(max([*slots, *threads], default=0.0), seen.behind)}


def _of_times(seen: WindowFigures, added_ms: float) -> Iterator[tuple[str, float]]:
    yield "response_time_mean_ms", _relative(added_ms, seen.mean_ms)
    if not seen.closed:
        yield "in_flight_mean", _relative(added_ms, seen.mean_ms)
    for name, (value_ms, quantile) in seen.times_ms.items():
        yield name, _relative(added_ms + _wait_at(seen, quantile), value_ms)


def _of_stages(seen: WindowFigures, longer: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    shares = {name: _relative(added_ms, seen.stages[name].work_ms) for name, added_ms in longer.items()}
    uneven = max(shares.values(), default=0.0) > NOTABLE
    for name, share in shares.items():
        yield f"{name}_work_ms", share
        queue_ms = seen.stages[name].queue_ms
        if queue_ms <= TIMER_MS:  # so much of a queue is made by the loop's timers
            continue
        made_ms = longer[name] * _met(seen, seen.stages[name])
        if uneven:
            made_ms = max(made_ms, _shifted_ms(seen, name))
        yield f"{name}_queue_ms", max(share, _relative(made_ms, queue_ms) if made_ms > TIMER_MS else 0.0)


def _met(seen: WindowFigures, stage: StageTimes) -> float:
    """Return the share of requests that meet another one in the slot that they want."""
    return max(0.0, stage.utilization * (seen.in_flight - 1) / max(seen.in_flight, 1.0))


def _shifted_ms(seen: WindowFigures, name: str) -> float:
    """Return how much of a service's queue may have come from another's, or gone there.

    Where slots are lengthened now here and now there, the queue of the longest wait is split up among all
    services: theirs may be due to that as a whole, and are what the longest one lacks.
    """
    queues = {each: stage.queue_ms for each, stage in seen.stages.items()}
    longest = max(queues, key=lambda each: queues[each])
    return math.fsum(queues.values()) - queues[name] if name == longest else queues[name]


def _wait_at(seen: WindowFigures, quantile: float) -> float:
    """Return the wait in ms that others put on the way of the request at that quantile, above the mean."""
    from lab.load.process_limits import WAIT_EDGES_MS  # charts read the names above, and load nothing

    if quantile <= MEDIAN:
        return 0.0
    slices = math.fsum(use.timeslices for use in seen.servers)
    on_the_way = max(1.0, 1.0 + slices / seen.answers_per_s)
    rarer = (1 - quantile) / on_the_way * seen.waits_of
    met = 0.0
    for place in reversed(range(len(seen.waits))):
        met += seen.waits[place] * _share_of_generators(seen)
        if met > max(rarer, 0.5):
            return WAIT_EDGES_MS[place] * math.sqrt(2)
    return 0.0


def _relative(added_ms: float, seen_ms: float) -> float:
    """Return the share by which a time has grown where so much of it was added."""
    if seen_ms <= 0 or added_ms <= 0:
        return 0.0
    added_ms = min(added_ms, MOST_OF_A_TIME * seen_ms)
    return added_ms / (seen_ms - added_ms)
