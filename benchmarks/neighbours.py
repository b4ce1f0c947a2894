"""Hold what rows say of disturbances to an oracle: known neighbours, and the undisturbed run beside it."""

from __future__ import annotations

import csv
import math
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.goals import GoalFigure, at_least, at_most, reference
from benchmarks.neighbour_programs import CannotRunError, NeighbourKind, beside
from benchmarks.nginx import nginx
from lab.arrivals import Closed, Constant, Load
from lab.errors import LabError
from lab.load.result import LoadResult
from lab.load.run import run
from lab.load.spec import LoadSpec
from lab.measure.columns import Factors, TimeSpent, TrialOutcome
from lab.measure.disturbance import QUIET_CORES, TIMER_MS, TOLERANCE
from lab.measure.machine_watch import MachineWatch
from lab.measure.measurement import Measurement
from lab.measure.row import Servers, Trial, factors_of, measure, unjudged
from lab.measure.statistics import log_interval
from lab.measure.validity import InvalidReason
from lab.placement.ports import free_offset
from lab.sweep import plan_sweep
from lab.sweep.trial import run_trial
from lab.topology import Topology

__all__ = ["neighbours", "quiet", "swamped"]

TRIALS = 3
"""Trials of each of the eight cells of the default sweep, and so 24 beside each kind."""
QUIET_TRIALS = 100
ROUNDS = 8
SECONDS = 4.0
CONNECTIONS = 32
RATE = 2000.0
"""Requests a second at which nginx answers within 0.2 ms."""
MOVES_NOTHING = 0.02
"""A number within this share of the undisturbed one should not be blanked."""
MOST_BLANKED = 5.0
"""Per cent of such numbers."""
WHOLE = 22
"""Of 24 trials, so many are to stand whole beside neighbours that move nothing: what they leave out was moved
beyond the tolerance."""
HARMLESS = frozenset(
    {
        NeighbourKind.NONE,
        NeighbourKind.LOOPS,
        NeighbourKind.NICED,
        NeighbourKind.WRK,
        NeighbourKind.BURSTS_3,
    }
)
TABLE = Path("build") / "neighbours.csv"
"""Each trial in two lines: as it is printed, and with all that was seen."""

_NUMBERS = tuple(
    each.name
    for group in (TrialOutcome, TimeSpent)
    for each in fields(group)
    if each.name.endswith(("_ms", "_rps", "achieved_rate", "in_flight_mean"))
)


@dataclass(frozen=True, slots=True)
class _Row:
    """One trial: what its row prints, and what it would if nothing were ever blanked."""

    cell: str
    printed: Mapping[str, float]
    seen: Mapping[str, float]
    share: float = 0.0
    added_ms: float = 0.0
    others: float | None = None
    fallen: str = ""
    """Why the row does not stand; empty where it does."""

    @property
    def blanked(self) -> frozenset[str]:
        """The numbers that the row leaves out though they were seen."""
        return frozenset(self.seen) - frozenset(self.printed)


def neighbours() -> Iterator[GoalFigure]:
    """Run the default sweep beside neighbours, in turns with undisturbed trials: what stands must be right.

    The variable NEIGHBOURS may name some kinds (loops,bursts30), NEIGHBOURS_TRIALS fewer trials a cell.
    """
    trials = int(os.environ.get("NEIGHBOURS_TRIALS", TRIALS))
    chosen = os.environ.get("NEIGHBOURS", ",".join(NeighbourKind)).split(",")
    if strange := set(chosen) - set(NeighbourKind):
        sys.exit(f"NEIGHBOURS cannot be {','.join(sorted(strange))}: there are {', '.join(NeighbourKind)}")
    found: dict[NeighbourKind, list[_Row]] = {NeighbourKind.NONE: []}
    found |= {NeighbourKind(name): [] for name in chosen}
    for kind, why in _fill(found, trials):
        yield reference(f"{kind} left out: {why}", math.nan)
    _write(found)
    undisturbed = found[NeighbourKind.NONE]
    for kind, rows in found.items():
        yield from _judged(kind, rows, undisturbed)


def quiet() -> Iterator[GoalFigure]:
    """Run a hundred trials of the default sweep beside nobody: none is refused."""
    count = int(os.environ.get("QUIET_TRIALS", QUIET_TRIALS))
    found: dict[NeighbourKind, list[_Row]] = {NeighbourKind.NONE: []}
    for _ in _fill(found, math.ceil(count / 8), count):
        pass
    rows = [row for row in found[NeighbourKind.NONE] if (row.others or 0.0) < QUIET_CORES]
    few = f"of {count} trials, others used less than {QUIET_CORES:g} cores in"
    yield at_least(few, len(rows), count // 2)  # else the machine is not quiet, and this says nothing
    refused = [row.fallen for row in rows if row.fallen]
    yield at_most(f"of them refused{_counted(refused)}", len(refused), 0)
    yield at_most("of them with a number left out", sum(bool(row.blanked) for row in rows), 0)


def swamped() -> Iterator[GoalFigure]:
    """Load nginx with 32 connections alone and beside eight loops: no mean that is off by over 5 % stands."""
    loads: dict[str, Load] = {
        f"{CONNECTIONS} in flight": Closed(CONNECTIONS),
        f"{RATE:g} a second": Constant(RATE),
    }
    for name, load in loads.items():
        alone, among = [], []
        with nginx() as url:
            for seed in range(ROUNDS):
                alone.append(_loaded(url, load, seed))
                with beside(NeighbourKind.LOOPS):
                    among.append(_loaded(url, load, seed))
        for column in ("throughput_rps", "response_time_mean_ms"):
            typical = statistics.median(row.seen[column] for row in alone)
            off = [abs(row.printed[column] / typical - 1) for row in among if column in row.printed]
            moved = statistics.median(row.seen[column] for row in among) / typical - 1
            yield reference(f"{name}: {column}, undisturbed", typical)
            yield reference(f"{name}: {column}, moved by eight loops", 100 * moved, "%")
            what = f"{name}: {column} that stand off by over 5 %, of {len(off)}"
            yield at_most(what, sum(each > TOLERANCE for each in off), 0)
        yield reference(f"{name}: refused alone{_counted(r.fallen for r in alone if r.fallen)}",
                        sum(bool(row.fallen) for row in alone))  # fmt: skip
        shares = statistics.median(row.share for row in among)
        yield reference(f"{name}: disturbance_share beside eight loops, median", 100 * shares, "%")


def _loaded(url: str, load: Load, seed: int) -> _Row:
    spec = LoadSpec(
        url=url, load=load, duration_s=SECONDS, warmup_s=0.5, seed=seed, max_connections=CONNECTIONS
    )
    watch = MachineWatch(None, url)
    loaded = run(spec, on_progress=watch)
    trial, factors = Trial("swamped", str(load.model), seed + 1), factors_of(spec)
    return _row(measure(trial, factors, loaded, Servers(contention=watch.contention(loaded))), loaded)


def _fill(
    found: dict[NeighbourKind, list[_Row]], trials: int, most: int | None = None
) -> Iterator[tuple[NeighbourKind, str]]:
    """Run every trial beside each kind in turn, and yield the kinds that cannot be had here, with the reason.

    So whatever drifts meets all kinds alike, and each trial has an undisturbed one beside it.
    """
    plan = plan_sweep("default", trials=trials, name="neighbours")
    order = list(plan.order())[:most]
    offset, begun = free_offset(Topology.parallel()), time.monotonic()
    for place, (trial, factors) in enumerate(order):
        for kind in _turned(list(found), place):
            try:
                found[kind].append(_beside(kind, trial, factors, offset))
            except CannotRunError as error:
                del found[kind]
                yield kind, str(error)
        if place % 8 == 7:
            print(f"         {place + 1} of {len(order)} in {time.monotonic() - begun:.0f} s", flush=True)


def _turned(kinds: list[NeighbourKind], by: int) -> list[NeighbourKind]:
    by %= len(kinds)
    return kinds[by:] + kinds[:by]


def _beside(kind: NeighbourKind, trial: Trial, factors: Factors, offset: int) -> _Row:
    loads: list[LoadResult] = []
    try:
        with beside(kind):
            measured = run_trial(trial, factors, port_offset=offset, told=loads.append)
    except LabError as error:
        return _Row(trial.cell_id, {}, {}, fallen=type(error).__name__)
    return _row(measured, loads[0])


def _row(measured: Measurement, load: LoadResult) -> _Row:
    health = measured.health
    return _Row(
        measured.what.cell_id,
        _numbers(measured.outcome, measured.spent),
        _numbers(*unjudged(load)),
        health.disturbance_share or 0.0,
        health.disturbance_ms or 0.0,
        health.others_cpu_cores,
        health.invalid_reason or "",
    )


def _numbers(outcome: TrialOutcome, spent: TimeSpent) -> dict[str, float]:
    found = asdict(outcome) | asdict(spent)
    return {name: value for name in _NUMBERS if isinstance(value := found[name], float) and value > 0}


def _judged(kind: NeighbourKind, rows: Sequence[_Row], undisturbed: Sequence[_Row]) -> Iterator[GoalFigure]:
    """Yield what is to be told of the trials beside one kind of neighbour."""
    known = [row.others for row in rows if row.others is not None]
    yield reference(f"{kind}: others used, median", statistics.median(known) if known else math.nan, "cores")
    lacking = [row.fallen or " ".join(_lacks(row, undisturbed)) for row in rows]
    without = [f"without {why}" if why and not row.fallen else why
               for row, why in zip(rows, lacking, strict=True)]  # fmt: skip
    what = f"{kind}: trials that stand whole, of {len(rows)}{_counted(filter(None, without))}"
    whole, least = lacking.count(""), math.floor(len(rows) * WHOLE / (8 * TRIALS))
    yield at_least(what, whole, least) if kind in HARMLESS else reference(what, whole)
    all_there = sum(not row.fallen and not row.blanked for row in rows)
    yield reference(f"{kind}: trials with every number", all_there)
    if kind in HARMLESS:
        others = [row.fallen for row in rows if row.fallen not in ("", InvalidReason.MACHINE_BUSY)]
        yield at_most(f"{kind}: trials that fall for something else{_counted(others)}", len(others), 0)
    if kind is NeighbourKind.NONE:
        return
    off = [each for row in rows for each in _off(row, rows, undisturbed)]
    worst = max(off, default=None)
    named = f", {worst.column} of {worst.cell}" if worst else ""
    yield at_most(f"{kind}: numbers that stand and are off by more than is told, of {len(off)}",
                  sum(each.excess > 0 for each in off), 0)  # fmt: skip
    yield reference(f"{kind}: worst difference beyond what is told{named}",
                    100 * worst.excess if worst else math.nan, "%")  # fmt: skip
    yield from _blanked_for_nothing(kind, rows, undisturbed)
    for column in ("throughput_rps", "response_time_mean_ms", "service1_work_ms", "overhead_ms"):
        yield reference(f"{kind}: {column}, moved by", 100 * _moved(column, rows, undisturbed), "%")
    told = [row.added_ms / max(1e-9, mean - row.added_ms) for row in rows
            if (mean := row.seen.get("response_time_mean_ms"))]  # fmt: skip
    yield reference(f"{kind}: response_time_mean_ms, by what rows tell",
                    100 * statistics.median(told) if told else math.nan, "%")  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class _Off:
    """By how much more a number differs from the undisturbed one than its row says, as a share."""

    excess: float
    column: str
    cell: str


def _off(row: _Row, rows: Sequence[_Row], undisturbed: Sequence[_Row]) -> Iterator[_Off]:
    """Yield each number that stands, beside the undisturbed one, what its row tells, and both intervals.

    A row tells of disturbance_share, and that no number which stands was moved beyond the tolerance.
    """
    for column, value in row.printed.items():
        typical, width = _interval([each.seen[column] for each in _of(row.cell, undisturbed, column)])
        if column.endswith("_queue_ms") and abs(value - typical) < TIMER_MS:
            continue  # of so much a queue is the loop's timers' own
        _, own = _interval([each.printed[column] for each in rows
                            if each.cell == row.cell and column in each.printed])  # fmt: skip
        if not math.isnan(width):
            told = min(row.share, TOLERANCE) + width + (width if math.isnan(own) else own)
            yield _Off(abs(value / typical - 1) - told, column, row.cell)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a typical value, and half of the width of its 95 % interval as a share of it."""
    told = log_interval(values)
    return told.estimate, math.sqrt(told.high / told.low) - 1 if told.known else math.nan


def _blanked_for_nothing(
    kind: NeighbourKind, rows: Sequence[_Row], undisturbed: Sequence[_Row]
) -> Iterator[GoalFigure]:
    """Yield how often a number that was not moved is left out, in rows whose throughput was not either."""
    near: Counter[str] = Counter()
    blanked: Counter[str] = Counter()
    for row in rows:
        if row.fallen and not _is_near("throughput_rps", row, undisturbed):
            continue
        for column in row.seen:
            if _is_near(column, row, undisturbed):
                near[column] += 1
                blanked[column] += column in row.blanked
    share = 100 * blanked.total() / near.total() if near else math.nan
    most = max(blanked, key=lambda name: blanked[name] / near[name], default="")
    named = f" (most: {most}, {blanked[most]} of {near[most]})" if blanked.total() else ""
    what = f"{kind}: left out of {near.total()} numbers within 2 % of undisturbed{named}"
    yield at_most(what, share, MOST_BLANKED, "%") if near else reference(what, share, "%")


def _lacks(row: _Row, undisturbed: Sequence[_Row]) -> list[str]:
    """Return what a row leaves out that it should not: numbers that others moved by the tolerance or less."""
    return sorted(column for column in row.blanked if _is_near(column, row, undisturbed, TOLERANCE))


def _is_near(column: str, row: _Row, undisturbed: Sequence[_Row], within: float = MOVES_NOTHING) -> bool:
    beside_it = [each.seen[column] for each in _of(row.cell, undisturbed, column)]
    if column not in row.seen or not beside_it:
        return False
    return abs(row.seen[column] / statistics.geometric_mean(beside_it) - 1) <= within


def _moved(column: str, rows: Sequence[_Row], undisturbed: Sequence[_Row]) -> float:
    """Return by which share neighbours moved a number, as the median over cells."""
    ratios = []
    for cell in sorted({row.cell for row in rows}):
        sides = [[each.seen[column] for each in _of(cell, side, column)] for side in (rows, undisturbed)]
        if all(sides):
            ratios.append(statistics.geometric_mean(sides[0]) / statistics.geometric_mean(sides[1]))
    return statistics.median(ratios) - 1 if ratios else math.nan


def _of(cell: str, rows: Iterable[_Row], column: str) -> list[_Row]:
    return [row for row in rows if row.cell == cell and column in row.seen]


def _counted(reasons: Iterable[str]) -> str:
    told = ", ".join(f"{reason} {count}" for reason, count in Counter(reasons).most_common(3))
    return f" ({told})" if told else ""


def _write(found: Mapping[NeighbourKind, Sequence[_Row]]) -> None:
    TABLE.parent.mkdir(exist_ok=True)
    with TABLE.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["neighbour", "cell", "as", "others", "share", "fallen", *_NUMBERS])
        for kind, rows in found.items():
            for row in rows:
                for name, numbers in (("printed", row.printed), ("seen", row.seen)):
                    figures = [numbers.get(column, "") for column in _NUMBERS]
                    lines.writerow([kind, row.cell, name, row.others, row.share, row.fallen, *figures])
