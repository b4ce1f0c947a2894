"""Any HTTP service, by its URL, under load: a search for its limit, then a sweep over rates below that.

Without a URL the service is an example that the lab starts.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson
from lab.errors import BadParameter
from lab.experiment_events import Listener, TrialBegun, TrialEnded, TrialProgress
from lab.load.result import Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.columns import Factors
from lab.measure.conditions import Condition
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.row import Servers, Trial, factors_of, histograms_of, measure
from lab.placement import start
from lab.progress import follow
from lab.results.csv_file import Results
from lab.results.folder import HOME
from lab.saturation import Ending, Saturation, SearchInterrupted, SearchSpec, probing, saturate
from lab.sweep.levels import read_level
from lab.sweep.plan import MOST_OFFSET, MOST_PROCESSES, results_folder, whole
from lab.sweep.trial import trial_seed
from lab.sweep.windows import Windows
from lab.topology import Topology
from lab.trials import made_up_for, most_redone, run_trials, say_who_computes
from services.names import ClientName
from services.work import Work

__all__ = [
    "CapacityPlan",
    "RatePlan",
    "Target",
    "find_limit",
    "open_target",
    "plan_capacity",
    "run_rates",
    "shares_of",
]

EXAMPLE_WORK_MS = 10.0
"""Service time of each service of the example: its pipeline can do 100 requests a second."""


@dataclass(frozen=True, slots=True)
class Target:
    """A service to load, and what the lab has to start for that, if anything."""

    name: str
    spec: LoadSpec
    """What is sent; each measurement has a load, a window and a seed of its own."""
    topology: Topology | None = None
    """What the lab starts whenever the target is loaded; None is a service that is there already."""

    @contextmanager
    def up(self) -> Iterator[None]:
        """Keep the target up within the block. Raises what starting a topology raises."""
        if self.topology is None:
            yield
            return
        with start(self.topology):
            yield

    def __str__(self) -> str:
        return f"{self.name}: {self.spec.method} {self.spec.url}"

    def _repr_markdown_(self) -> str:
        return str(self)


def open_target(
    url: str = "",
    *,
    method: str = "GET",
    headers: Mapping[str, str | int] | None = None,
    body: str = "",
    remote: bool = False,
    processes: int = 1,
    port_offset: int = 0,
) -> Target:
    """Return the service at a URL; without one, a pipeline that the lab starts on the documented ports.

    `processes` load generators share what is sent to it. Raises BadParameter for what is no URL,
    RemoteRefused for a host that is not loopback, unless `remote` allows it.
    """
    if not url:
        return _example(processes, port_offset)
    spec = LoadSpec(
        url=url,
        load=_users(processes),
        method=method.upper(),
        headers=tuple((name, str(value)) for name, value in (headers or {}).items()),
        body=body.encode() or None,
        processes=processes,
        remote=remote,
    )
    spec.check()
    return Target("your service", spec)


def _users(processes: int) -> Closed:
    """Return a load in which each generator has a part; a measurement replaces it."""
    return Closed(max(1, processes))


def _example(processes: int, port_offset: int) -> Target:
    topology = Topology.sequential().with_work(Work(mean_ms=EXAMPLE_WORK_MS)).with_client(ClientName.WIRE)
    topology = topology.shifted(port_offset)
    spec = LoadSpec(
        url=topology.entry_url,
        load=_users(processes),
        processes=processes,
        method="POST",
        body=PipelineBody(),
    )
    spec.check()
    return Target("an example that the lab starts", spec, topology)


SHARES = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
"""Shares of the highest rate at which the service is measured."""
OVERHEAD_S = 0.6
WINDOWS = Windows(answers=160, shortest_s=1.0)
_MODELS: Mapping[str, type[Poisson | Constant]] = {"poisson": Poisson, "constant": Constant}


@dataclass(frozen=True, slots=True)
class CapacityPlan:
    """A search for what a service sustains, and rates below that, neither of them begun."""

    target: Target
    slo: str
    arrivals: LoadModel
    duration_s: float
    trials: int
    folder: str
    redo_invalid: bool | int = True

    def __str__(self) -> str:
        return (
            f"{self.target}\n\nThe highest rate that keeps {self.slo}, by probes of "
            f"{self.duration_s:g} s; then {len(SHARES)} rates × {self.trials} trials, into {self.folder}"
        )

    def _repr_markdown_(self) -> str:
        return str(self)


def plan_capacity(
    url: str = "",
    *,
    method: str = "GET",
    headers: Mapping[str, str | int] | None = None,
    body: str = "",
    slo: str = "p95=200ms, errors=0",
    arrivals: str = "poisson",
    duration_s: float = 5.0,
    trials: int = 3,
    processes: int = 1,
    remote: bool = False,
    port_offset: int = 0,
    folder: str = "build",
    redo_invalid: bool | int = True,
) -> CapacityPlan:
    """Plan a search for the limit of the service at a URL, and trials on the way there. Starts nothing.

    Raises what `open_target` raises, and BadParameter for whatever else could not be.
    """
    offset = whole("port_offset", port_offset, 0, MOST_OFFSET)
    generators = whole("processes", processes, 1, MOST_PROCESSES)
    target = open_target(
        url,
        method=method,
        headers=headers,
        body=body,
        remote=remote,
        processes=generators,
        port_offset=offset,
    )
    _goal(slo)
    length_s = float(read_level("duration_s", duration_s))
    replace(target.spec, duration_s=length_s).check()
    number = whole("trials", trials, 1)
    most_redone(redo_invalid, number * len(SHARES))  # refuses what it cannot be
    into = str(results_folder(folder))
    return CapacityPlan(target, slo, _model(arrivals), length_s, number, into, redo_invalid)


def find_limit(
    target: Target,
    slo: str,
    *listeners: Listener,
    arrivals: str = "poisson",
    duration_s: float = 5.0,
    redo_invalid: bool | int = True,
) -> Saturation:
    """Search the highest rate that keeps a goal such as "p95=200ms, errors=0".

    Probes that others spoilt are made up for: `redo_invalid` of them at most, where True stands for a third
    of all. The first interrupt ends the search after the present probe, a second one at once; either way what
    it has come to is returned. `listeners` are told what happens. Raises BadParameter for no goal.
    """
    question = SearchSpec(
        goal=_goal(slo), model=_model(arrivals), duration_s=duration_s, redo_invalid=redo_invalid
    )
    step_s = target.spec.warmup_s + duration_s + OVERHEAD_S
    begun: TrialBegun

    def tell(progress: Progress) -> None:
        course.tell(TrialProgress(begun, progress))

    def shown(load: Load, seconds: float) -> Measurement:
        nonlocal begun
        if course.stopping:
            raise KeyboardInterrupt
        rate = load.requested_rate
        level = "32 in flight" if rate is None else f"{rate:.4g} req/s"
        begun = course.begin(level, step_s, cell_id="" if rate is None else str(rate))
        row = probe(load, seconds)
        course.tell(TrialEnded(begun, row))
        return row

    most = question.most_probes
    found = Saturation(question, None, None, Ending.INTERRUPTED, ())
    with follow(question, most, most * step_s, listeners) as course, target.up():
        say_who_computes(made_up_for(question.most_redone), target.spec.url)
        probe = probing(target.spec, _factors(target), on_progress=tell)
        try:
            found = saturate(question, shown)
        except SearchInterrupted as interrupted:
            found = interrupted.so_far
    return found


def shares_of(saturation: Saturation) -> list[float]:
    """Return rates on the way to the highest that keeps the goal; none where no rate does."""
    if saturation.highest_kept is None:
        return []
    return [float(f"{share * saturation.highest_kept:.3g}") for share in SHARES]


@dataclass(frozen=True, slots=True)
class RatePlan:
    """Rates that are to be measured, and the CSV where the rows go."""

    rates: tuple[float, ...]
    path: Path


def run_rates(
    target: Target,
    rates: Sequence[float],
    *listeners: Listener,
    arrivals: str = "poisson",
    trials: int = 3,
    duration_s: float = 5.0,
    seed: int = 1,
    folder: str | Path = "build",
    redo_invalid: bool | int = True,
) -> Path:
    """Load the target at each rate, `trials` times over in shuffled order; return the path of the CSV.

    Each window is `duration_s` long, and longer where a 95th percentile needs that. Trials that others spoilt
    are made up for by further ones: `redo_invalid` of them at most, where True stands for a third of all.
    Without a rate nothing is started, and the CSV has no rows. The first interrupt ends it after the present
    trial, a second one at once; either way the path is returned. `listeners` are told what happens. Raises
    BadParameter for a `redo_invalid` that
    is none of these.
    """
    model, trials = _MODELS[_model(arrivals)], whole("trials", trials, 1)
    windows = replace(WINDOWS, shortest_s=duration_s)
    lengths = {rate: windows.seconds(rate) for rate in rates}
    path = HOME / folder / f"load-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
    most = most_redone(redo_invalid, trials * len(rates))
    parameters = {
        "url": target.spec.url,
        "rates": list(rates),
        "arrivals": arrivals,
        "trials": trials,
        "processes": target.spec.processes,
    }
    plan = list(_order(rates, trials, seed))
    numbers = dict.fromkeys(rates, trials)
    other_s = target.spec.warmup_s + OVERHEAD_S
    total_s = sum(lengths[rate] + other_s for rate, _ in plan)

    def run_one(planned: tuple[float, int]) -> str | None:
        rate, number = planned
        spec = replace(target.spec, load=model(rate), duration_s=lengths[rate], seed=trial_seed(seed, number))
        trial = Trial(path.stem, f"{arrivals}-{rate:g}", number)
        name = f"{rate:g} req/s, number {number} of {trials}"
        begun = course.begin(name, lengths[rate] + other_s, trial.cell_id)
        watch = MachineWatch(course.on_progress(begun), spec.url)
        loaded = run(spec, on_progress=watch)
        servers = Servers(contention=watch.contention(loaded))
        row = measure(trial, factors_of(spec, _factors(target)), loaded, servers)
        results.append(row, histograms_of(loaded))
        course.tell(TrialEnded(begun, row))
        return row.health.invalid_reason

    def again(planned: tuple[float, int]) -> tuple[float, int]:
        rate, _ = planned
        numbers[rate] += 1
        return rate, numbers[rate]

    with Results(path, parameters) as results:
        if plan:
            told = RatePlan(tuple(rates), path)
            with follow(told, len(plan), total_s, listeners) as course, target.up():
                say_who_computes(made_up_for(most), target.spec.url)
                run_trials(plan, run_one, most, again, lambda: course.stopping)
    return path


def _order(rates: Sequence[float], trials: int, seed: int) -> Iterator[tuple[float, int]]:
    """Yield every rate once, shuffled, then all again, shuffled anew."""
    shuffler, left = random.Random(seed), list(rates)
    for number in range(1, trials + 1):
        shuffler.shuffle(left)
        yield from ((rate, number) for rate in left)


def _factors(target: Target) -> Factors:
    """Return all that is known of a service that the lab did not make: that it is there, and its name."""
    return Factors(topology=target.name, protocol="http", load_model=LoadModel.CONSTANT, duration_s=0.0)


def _goal(slo: str) -> tuple[Condition, ...]:
    if not isinstance(slo, str):
        raise BadParameter(f'slo cannot be {slo!r}: it takes a text, as "p95=200ms, errors=0"')
    return tuple(Condition.parse(part) for part in slo.split(","))


def _model(arrivals: str) -> LoadModel:
    if arrivals not in _MODELS:
        raise BadParameter(f"arrivals cannot be {arrivals!r}: they are {' or '.join(_MODELS)}")
    return LoadModel(arrivals)
