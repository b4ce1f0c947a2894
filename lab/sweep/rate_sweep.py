"""Any HTTP service, by its URL, under load: a search for its limit, then a sweep over rates below that.

Without a URL the service is an example that the lab starts.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from lab.arrivals import Closed, Constant, Load, LoadModel, Poisson
from lab.errors import BadParameter
from lab.load.result import Progress
from lab.load.run import run
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.columns import Factors
from lab.measure.conditions import Condition
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.row import Servers, Trial, factors_of, histograms_of, measure
from lab.placement import start
from lab.progress import SecondsBar, seconds_bar
from lab.results.csv_file import Results
from lab.results.folder import HOME
from lab.saturation import Saturation, SearchSpec, probing, saturate
from lab.sweep.trial import trial_seed
from lab.sweep.windows import Windows
from lab.topology import Topology
from lab.trials import made_up_for, most_redone, run_trials, say_who_computes
from services.names import ClientName
from services.work import Work

__all__ = ["Target", "find_limit", "open_target", "run_rates", "shares_of"]

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


def find_limit(
    target: Target,
    slo: str,
    *,
    arrivals: str = "poisson",
    duration_s: float = 5.0,
    redo_invalid: bool | int = True,
) -> Saturation:
    """Search the highest rate that keeps a goal such as "p95=200ms, errors=0".

    Probes that others spoilt are made up for: `redo_invalid` of them at most, where True stands for a third
    of all. Raises BadParameter for no goal.
    """
    goal = tuple(Condition.parse(part) for part in slo.split(","))
    question = SearchSpec(goal=goal, model=_model(arrivals), duration_s=duration_s, redo_invalid=redo_invalid)
    step_s = target.spec.warmup_s + duration_s + OVERHEAD_S
    with target.up(), seconds_bar(question.most_probes * step_s) as bar:
        say_who_computes(made_up_for(question.most_redone), target.spec.url)
        probe = probing(target.spec, _factors(target), on_progress=lambda progress: _show(bar, progress))

        def shown(load: Load, seconds: float) -> Measurement:
            level = "32 in flight" if load.requested_rate is None else f"{load.requested_rate:.4g} req/s"
            bar.say(f"probing {level}")
            measured = probe(load, seconds)
            bar.finish(step_s)
            return measured

        return saturate(question, shown)


def shares_of(saturation: Saturation) -> list[float]:
    """Return rates on the way to the highest that keeps the goal; none where no rate does."""
    if saturation.highest_kept is None:
        return []
    return [float(f"{share * saturation.highest_kept:.3g}") for share in SHARES]


def run_rates(
    target: Target,
    rates: Sequence[float],
    *,
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
    Without a rate nothing is started, and the CSV has no rows. Raises BadParameter for a `redo_invalid` that
    is none of these.
    """
    model = _MODELS[_model(arrivals)]
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
        bar.say(f"trial {number} of {trials} at {rate:g} req/s")
        spec = replace(target.spec, load=model(rate), duration_s=lengths[rate], seed=trial_seed(seed, number))
        watch = MachineWatch(lambda progress: _show(bar, progress), spec.url)
        loaded = run(spec, on_progress=watch)
        servers = Servers(contention=watch.contention(loaded))
        trial = Trial(path.stem, f"{arrivals}-{rate:g}", number)
        row = measure(trial, factors_of(spec, _factors(target)), loaded, servers)
        results.append(row, histograms_of(loaded))
        bar.finish(lengths[rate] + other_s)
        return row.health.invalid_reason

    def again(planned: tuple[float, int]) -> tuple[float, int]:
        rate, _ = planned
        numbers[rate] += 1
        return rate, numbers[rate]

    with (
        target.up() if plan else nullcontext(),
        Results(path, parameters) as results,
        seconds_bar(total_s) as bar,
    ):
        if plan:
            say_who_computes(made_up_for(most), target.spec.url)
        run_trials(plan, run_one, most, again)
    return path


def _order(rates: Sequence[float], trials: int, seed: int) -> Iterator[tuple[float, int]]:
    """Yield every rate once, shuffled, then all again, shuffled anew."""
    shuffler, left = random.Random(seed), list(rates)
    for number in range(1, trials + 1):
        shuffler.shuffle(left)
        yield from ((rate, number) for rate in left)


def _show(bar: SecondsBar, progress: Progress) -> None:
    bar.within(progress.elapsed_s, progress.total_s)


def _factors(target: Target) -> Factors:
    """Return all that is known of a service that the lab did not make: that it is there, and its name."""
    return Factors(topology=target.name, protocol="http", load_model=LoadModel.CONSTANT, duration_s=0.0)


def _model(arrivals: str) -> LoadModel:
    if arrivals not in _MODELS:
        raise BadParameter(f"arrivals cannot be {arrivals!r}: they are {' or '.join(_MODELS)}")
    return LoadModel(arrivals)
