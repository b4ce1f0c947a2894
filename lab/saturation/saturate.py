"""Search for the saturation of any HTTP service: probe after probe, each a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson
from lab.errors import BadParameter
from lab.load.result import Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, processes_for
from lab.measure.columns import Factors, TrialOutcome
from lab.measure.conditions import Condition, ConditionMetric
from lab.measure.disturbance import TOLERANCE, DisturbanceSource
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.row import Servers, Trial, factors_of, measure
from lab.measure.validity import InvalidReason
from lab.rounding import numbers, trimmed
from lab.saturation.search import Search, SearchResult
from lab.trials import InvalidTrials, most_redone

__all__ = [
    "Ending",
    "Probe",
    "ProbeRow",
    "Saturation",
    "SearchInterrupted",
    "SearchSpec",
    "probing",
    "saturate",
]

KEEPS_UP = 0.99
"""A server that answers a smaller share of what arrives is overloaded, however short its queue still is."""
PLANNED = frozenset({InvalidReason.RATE_NOT_ACHIEVED, InvalidReason.NOT_STEADY, InvalidReason.LITTLES_LAW})
"""Reasons that a search brings about: beyond saturation connections run out and queues grow."""
UNTRUSTED = frozenset({InvalidReason.GENERATOR_BOUND, InvalidReason.MACHINE_BUSY})
"""A probe that is invalid for one of these says nothing of the server."""
FIRST_CONCURRENCY = 32
"""The first guess of a concurrency. A closed loop of that many users gives the first guess of a rate."""
FEWEST_ANSWERS = 200
"""Answers in a probe, so that the verdict does not depend on how the window's edges fall."""
PATIENCE = 2
"""Probes of a level that could not be judged: a neighbour may have disturbed the generator once."""
SPARE = 1.2
"""Factor on the fewest answers that a probe is made long enough for."""
LONGEST_S = 120.0
"""Seconds of the longest probe, unless a longer one is asked for."""

MOST_LEVEL = 1e6
"""Requests a second, or in flight, that no generator of this kind can make."""

Probe = Callable[[Load, float], Measurement]
"""Loads for at least so many seconds, and returns the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpec:
    """What to search: the highest level at which all conditions of a goal hold.

    Levels are requests a second that arrive evenly or as a Poisson stream, or requests in flight in a closed
    loop. Raises BadParameter for a model that has no one level, an empty goal, and what makes no search.
    """

    goal: tuple[Condition, ...]
    model: LoadModel = LoadModel.CONSTANT
    guess: float | None = None
    """Where the limit may be. Without a guess, the first probe of a rate is a closed loop that finds one."""
    precision: float = 0.03
    most_probes: int = 8
    duration_s: float = 5.0
    """Seconds of a probe's window; more where the goal needs more answers."""
    redo_invalid: bool | int = True
    """How many further probes may make up for those that others spoilt: True stands for a third of all."""

    def __post_init__(self) -> None:
        if self.model not in (LoadModel.CLOSED, LoadModel.CONSTANT, LoadModel.POISSON):
            raise BadParameter(
                f"{self.model} has no one level to search for: take constant, poisson or closed"
            )
        if not self.goal:
            raise BadParameter("a goal needs at least one condition, such as p99=200ms")
        for condition in self.goal:
            if (
                condition.sign.startswith(condition.bad_sign)
                and condition.quantity is not ConditionMetric.THROUGHPUT
            ):
                raise BadParameter(
                    f"{condition} is no goal: it is kept where there is too much load; write "
                    f"{condition.quantity}<={str(condition).split(maxsplit=2)[2].replace(' ', '')}"
                )
        if self.guess is not None and self.guess > MOST_LEVEL:
            raise BadParameter(f"guess is {self.guess:g}: give a level up to {MOST_LEVEL:,.0f}")
        self.search(1.0 if self.guess is None else self.guess)  # before anything is probed for it
        most_redone(self.redo_invalid, self.most_probes)

    @property
    def most_redone(self) -> int:
        """How many further probes may make up for those that others spoilt."""
        return most_redone(self.redo_invalid, self.most_probes)

    def search(self, guess: float) -> Search:
        """Return the search that begins at a guess."""
        return Search(guess, self.precision, self.most_probes, whole=self.model is LoadModel.CLOSED)

    def load(self, level: float) -> Load:
        """Return the load at a level."""
        match self.model:
            case LoadModel.CLOSED:
                return Closed(round(level))
            case LoadModel.POISSON:
                return Poisson(level)
        return Constant(level)

    def seconds(self, rate: float | None) -> float:
        """Return how many seconds to probe where `rate` answers a second are expected."""
        wanted_s = SPARE * self.fewest_answers / rate if rate else 0.0
        return max(self.duration_s, min(wanted_s, LONGEST_S))

    @property
    def fewest_answers(self) -> int:
        """Answers that a probe needs to be judged."""
        return max(FEWEST_ANSWERS, *(condition.fewest_answers for condition in self.goal))

    @property
    def slowest(self) -> float:
        """Answers a second below which even the longest probe has too few."""
        return self.fewest_answers / max(self.duration_s, LONGEST_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRow(Measurement):
    """A probe's row, which also says what of the generator's own ran short, in words, if anything did."""

    shortage: str | None = None


class Ending(StrEnum):
    """Why a search ended."""

    SETTLED = "settled"
    OUT_OF_PROBES = "out of probes"
    NOT_MEASURABLE = "not measurable"
    """The last probes could not be judged: invalid for a reason nobody plans, or with a figure left blank.
    Or the generator itself ran short of something at the next level. Or nothing succeeded at any level."""
    TOO_SLOW = "too slow"
    """A probe of the next level would take too long to get the answers that the goal needs."""
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Saturation:
    """What a search came to. `highest_kept` is the answer, and the limit lies below `lowest_broken`."""

    spec: SearchSpec
    highest_kept: float | None
    lowest_broken: float | None
    ending: Ending
    probes: tuple[Measurement, ...]
    shortage: str | None = None
    """What of the generator's own ran short beyond `highest_kept`, in words."""

    @property
    def nothing_succeeded(self) -> bool:
        """Whether no request of any probe succeeded: then the levels were not the cause."""
        return bool(self.probes) and not any(probe.outcome.succeeded for probe in self.probes)

    def sentence(self) -> str:
        """Return the outcome in words."""
        unit = "in flight" if self.spec.model is LoadModel.CLOSED else "req/s"
        goal = " and ".join(map(str, self.spec.goal))
        levels = self.highest_kept or 0, self.lowest_broken or 0
        kept, broken = (f"{trimmed(level)} {unit}" for level in numbers(*levels, edges=levels, digits=4))
        count = f"{len(self.probes)} probe{'s' if len(self.probes) != 1 else ''}"
        if self.nothing_succeeded:
            return f"{(self.probes[-1].outcome.nothing_succeeded or '').capitalize()} ({count})."
        if self.ending is Ending.INTERRUPTED:
            if self.highest_kept is None and self.lowest_broken is None:
                return f"Interrupted after {count}, before any level was judged."
            kept = f"{kept} keeps {goal}" if self.highest_kept else f"no level tried keeps {goal}"
            return f"Interrupted after {count}: {kept}."
        if self.shortage:
            beyond = "" if self.highest_kept is None else f" beyond {kept}"
            return f"Not measurable{beyond}: {self.shortage} ({count})."
        if self.ending is Ending.NOT_MEASURABLE:
            blank = "other programs moved what the goal is about"
            few = blank if _moved_by_others(self.probes[-1]) else "too few answers for the goal"
            why = self.probes[-1].health.invalid_reason or few
            beyond = "" if self.highest_kept is None else f" beyond {kept}"
            return f"Not measurable{beyond}: {why} ({count})."
        if self.ending is Ending.TOO_SLOW and self.lowest_broken is None:
            return f"Too slow for {goal}: that takes {self.spec.slowest:.2g} answers a second ({count})."
        if self.highest_kept is None:
            return f"No level tried keeps {goal}; the lowest was {broken} ({count})."
        if self.lowest_broken is None:
            return f"Every level tried keeps {goal}; the highest was {kept} ({count})."
        return f"{kept} keeps {goal}, {broken} does not ({count}, {self.ending})."


class SearchInterrupted(KeyboardInterrupt):
    """Ctrl-C came in the middle of a search; `so_far` is what it had come to."""

    def __init__(self, so_far: Saturation) -> None:
        super().__init__()
        self.so_far = so_far


def saturate(spec: SearchSpec, probe: Probe) -> Saturation:
    """Search until the limit is known as precisely as asked, or probes run out.

    Raises what the probes raise, and SearchInterrupted for a KeyboardInterrupt.
    """
    course = _Course(spec, probe)
    try:
        course.run()
    except KeyboardInterrupt as error:
        raise SearchInterrupted(replace(course.outcome(), ending=Ending.INTERRUPTED)) from error
    return course.outcome()


@dataclass(slots=True)
class _Course:
    """A search as it goes on."""

    spec: SearchSpec
    probe: Probe
    probes: list[Measurement] = field(default_factory=list)
    search: Search | None = None
    unjudged: int = 0
    """How many probes in a row could not be judged."""
    redone: int = 0
    """How many of them were made up for, because others spoilt them."""
    invalid: InvalidTrials = field(default_factory=InvalidTrials)
    too_slow: bool = False

    def run(self) -> None:
        """Probe until the search is over."""
        guess = self._guess()
        if guess is None:
            return
        self.search = self.spec.search(guess)
        most = self.spec.most_probes
        while len(self.probes) - self.redone < most and self.unjudged < PATIENCE and not self._dead:
            level = self.search.next_level()
            if level is None:
                break
            rate = level if self.spec.model is not LoadModel.CLOSED else self._last_rate()
            self.too_slow = rate is not None and rate < self.spec.slowest
            if self.too_slow:
                break
            self.probes.append(self.probe(self.spec.load(level), self.spec.seconds(rate)))
            found = _judged(self.spec, level, self.probes[-1])
            self.unjudged = 0 if found or self._made_up_for(self.probes[-1]) else self.unjudged + 1
            self.search = self.search.after(found) if found else self.search

    def _made_up_for(self, row: Measurement) -> bool:
        """Take in a probe that says nothing; return whether a further one makes up for it."""
        self.invalid.count(" ".join(_untrusted(row)))
        again = _moved_by_others(row) and self.redone < self.spec.most_redone
        self.redone += again
        return again

    def outcome(self) -> Saturation:
        """Return what the search has come to."""
        search = self.search
        if search is None:
            return Saturation(self.spec, None, None, Ending.NOT_MEASURABLE, tuple(self.probes))
        ending = Ending.SETTLED if search.settled else Ending.OUT_OF_PROBES
        if self.unjudged or self._dead or search.shortage:
            ending = Ending.NOT_MEASURABLE
        elif self.too_slow:
            ending = Ending.TOO_SLOW
        broken = None if search.shortage else search.lowest_broken
        return Saturation(self.spec, search.highest_kept, broken, ending, tuple(self.probes), search.shortage)

    def _guess(self) -> float | None:
        """Return where to begin: as asked, or where a closed loop says; None where nothing was answered."""
        if self.spec.guess or self.spec.model is LoadModel.CLOSED:
            return self.spec.guess or FIRST_CONCURRENCY
        self.probes.append(self.probe(Closed(FIRST_CONCURRENCY), self.spec.duration_s))
        return self._last_rate()

    def _last_rate(self) -> float | None:
        return self.probes[-1].outcome.throughput_rps if self.probes else None

    @property
    def _dead(self) -> bool:
        """Return whether nothing succeeded at level after level, so that lower ones are not worth a try."""
        return len(self.probes) >= PATIENCE and not any(probe.outcome.succeeded for probe in self.probes)


def probing(
    base: LoadSpec,
    factors: Factors | None = None,
    *,
    sweep_id: str = "saturation",
    on_progress: Callable[[Progress], None] | None = None,
) -> Probe:
    """Return a probe by real load: as `base` says, but for the load, its seed and the window's length.

    `factors` says what is known of the target beside the load. The cell of a row names its level. A closed
    loop with fewer users than the base has generators is put on by as many of them.
    """
    number = 0

    def probe(load: Load, duration_s: float) -> Measurement:
        nonlocal number
        number += 1
        processes = processes_for(load, base.processes)
        probed = replace(base, load=load, duration_s=duration_s, seed=base.seed + number, processes=processes)
        level = load.concurrency if isinstance(load, Closed) else load.requested_rate
        trial = Trial(sweep_id, f"{load.model}-{level:.6g}", number)
        watch = MachineWatch(on_progress, base.url)
        loaded = run(probed, on_progress=watch)
        servers = Servers(contention=watch.contention(loaded))
        if loaded.interrupted:
            raise KeyboardInterrupt
        row = measure(trial, factors_of(probed, factors), loaded, servers, exempt=PLANNED)
        return ProbeRow(**{name: getattr(row, name) for name in Measurement.GROUPS}, shortage=loaded.shortage)

    return probe


def _judged(spec: SearchSpec, level: float, measurement: Measurement) -> SearchResult | None:
    """Return what a probe says of its level; None where it says nothing.

    A Poisson stream scatters about the rate asked for: its level is the rate at which requests arrived.
    """
    outcome = measurement.outcome
    if _untrusted(measurement):
        return None
    arrived = (outcome.requests + outcome.dropped) / measurement.factors.duration_s
    level = arrived if spec.model is LoadModel.POISSON else level
    shortage = None if _broken_by_the_server(spec, outcome) else getattr(measurement, "shortage", None)
    answered = (outcome.throughput_rps or 0.0) * outcome.requests / max(1, outcome.succeeded)
    behind = spec.model is not LoadModel.CLOSED and answered < KEEPS_UP * arrived
    holds = [condition.holds(measurement) for condition in spec.goal]
    if behind or False in holds:
        tells = behind or (shortage and spec.model is not LoadModel.CLOSED)
        return SearchResult(
            level, kept=False, capacity=answered or None if tells else None, shortage=shortage
        )
    return SearchResult(level, kept=True) if measurement.health.valid and None not in holds else None


def _untrusted(row: Measurement) -> frozenset[str]:
    return UNTRUSTED & set((row.health.invalid_reason or "").split())


def _moved_by_others(row: Measurement) -> bool:
    health = row.health
    return health.disturbed_by == DisturbanceSource.OTHERS and (health.disturbance_share or 0.0) > TOLERANCE


def _broken_by_the_server(spec: SearchSpec, outcome: TrialOutcome) -> bool:
    """Return whether the goal is broken even without what the generator's own lack has to do with it.

    That is: by failures of requests that were sent, or by service times, which no wait of the generator's is
    part of. They have no p90 and the like, so a percentile is held against the next lower one there is.
    """
    sent = replace(outcome, dropped=0)
    for condition in spec.goal:
        if condition.quantity is ConditionMetric.ERRORS and condition.holds_for(sent) is False:
            return True
        if condition.quantity.is_time and condition.quantity is not ConditionMetric.MEAN:
            high = condition.quantity in (ConditionMetric.P99, ConditionMetric.P99_9, ConditionMetric.MAX)
            service_ms = outcome.service_time_p99_ms if high else outcome.service_time_p50_ms
            if service_ms is not None and service_ms > condition.value:
                return True
    return False
