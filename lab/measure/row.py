"""From the result of a run to one row: the only place that knows both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace

import numpy as np

from lab.arrivals import Closed
from lab.load.histogram import Histogram
from lab.load.result import GeneratorHealth, LoadResult
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.columns import Factors, TimeSpent, TrialHealth, TrialOutcome, What
from lab.measure.disturbance import Disturbance, ProcessorUse, StageTimes, WindowFigures, estimate
from lab.measure.machine_watch import Contention
from lab.measure.measurement import Measurement
from lab.measure.percentiles import sample_floor
from lab.measure.references import References, references
from lab.measure.statistics import batch_means, difference_p
from lab.measure.validity import Evidence, InvalidReason, reasons_against
from services.names import Distribution, WorkKind

__all__ = ["Servers", "Trial", "factors_of", "histograms_of", "measure", "unjudged"]

NS_PER_MS = 1e6

BATCHES = 10
"""The batches of each third of a window: more are shorter, and more alike."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One repetition of a cell of a sweep."""

    sweep_id: str
    cell_id: str
    number: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What the servers say of the same window; None where that is unknown."""

    cpu_cores: float | None = None
    """Cores that services used; in-process, with their balancers."""
    balancers_cpu_cores: float | None = None
    rss_mb: float | None = None
    retries: int | None = None
    """Attempts that failed since the start, as the balancers counted them: no fewer than were tried again."""
    changed: bool = False
    """Whether a server came, went or restarted during the run."""
    balancer_shortages: int = 0
    """How often balancers ran out of something of their own."""
    contention: Contention | None = None
    """Who used the processor, as a `MachineWatch` saw it."""


def measure(
    trial: Trial,
    factors: Factors,
    load: LoadResult,
    servers: Servers | None = None,
    *,
    against: References | None = None,
    exempt: Set[InvalidReason] = frozenset(),
) -> Measurement:
    """Return the row of one trial, judged.

    `against` is what the row is held against, with what theory predicts; without it, the documents alone.
    `exempt` are reasons that the experiment means to happen, and that do not make the row invalid.
    """
    servers = servers or Servers()
    outcome, spent = unjudged(load)
    found = estimate(_figures(load, factors, outcome, spent, servers.contention))
    measurement = Measurement(
        what=What(
            sweep_id=trial.sweep_id,
            cell_id=trial.cell_id,
            trial=trial.number,
            started_at=load.started_at.replace(microsecond=0),
            schedule_hash=load.schedule_hash or None,
        ),
        factors=replace(factors, duration_s=round(load.window_s, 3), warmup_s=round(load.warmup_s, 3)),
        outcome=outcome,
        spent=spent,
        health=_health(load, servers, found),
        against=(against or references(load.spec.load, factors)).against(load),
    )
    reasons = reasons_against(_evidence(load, measurement, servers, found), exempt)
    measurement = measurement.without(found.beyond())
    return measurement.invalidated(reasons) if reasons else measurement


def unjudged(load: LoadResult) -> tuple[TrialOutcome, TimeSpent]:
    """Return all figures that were seen in a window, whatever disturbed it."""
    return _outcome(load), _time_spent(load)


def factors_of(spec: LoadSpec, known: Factors | None = None) -> Factors:
    """Return the factors that a load spec gives, beside the known ones of its target."""
    load, body = spec.load, spec.body
    closed = load if isinstance(load, Closed) else None
    return replace(
        known or Factors(load_model=load.model, duration_s=spec.duration_s),
        load_model=str(load.model),
        concurrency=closed.concurrency if closed else None,
        think_time_ms=closed.think_time_s * 1000 if closed else None,
        requested_rate=load.requested_rate,
        payload_bytes=body.payload_bytes if isinstance(body, PipelineBody) else len(body) if body else None,
        corpus=body.corpus if isinstance(body, PipelineBody) else None,
        seed=spec.seed,
        duration_s=spec.duration_s,
        warmup_s=spec.warmup_s,
        warmup_mode=str(spec.warmup_mode),
    )


def histograms_of(load: LoadResult) -> dict[str, dict[str, object]]:
    """Return what a sidecar keeps of a trial: both histograms in full."""
    return {
        "response_time": load.window.response_time.to_json(),
        "service_time": load.window.service_time.to_json(),
    }


def _outcome(load: LoadResult) -> TrialOutcome:
    response, service = load.window.response_time, load.window.service_time
    return TrialOutcome(
        requests=load.requests,
        succeeded=load.succeeded,
        failed=load.failed,
        failures=" ".join(f"{name}={count}" for name, count in load.failures.items()) or None,
        dropped=load.dropped,
        achieved_rate=_known(load.achieved_rate),
        throughput_rps=_known(load.throughput_rps),
        response_time_mean_ms=_ms(response.mean_ns),
        response_time_p50_ms=_ms(response.percentile_ns(50)),
        response_time_p90_ms=_percentile(response, 90),
        response_time_p95_ms=_percentile(response, 95),
        response_time_p99_ms=_percentile(response, 99),
        response_time_p99_9_ms=_percentile(response, 99.9),
        response_time_max_ms=_ms(response.max_ns) if len(response) else None,
        service_time_p50_ms=_ms(service.percentile_ns(50)),
        service_time_p99_ms=_percentile(service, 99),
        in_flight_mean=_known(load.in_flight_mean),
    )


def _time_spent(load: LoadResult) -> TimeSpent:
    """Return the stages that have a column, and as overhead what no stage of any service accounts for."""
    accounted = {m: mean for m, mean in load.stages_ms.items() if m.endswith(("-queue", "-work"))}
    stages = {f"{metric.replace('-', '_')}_ms": mean for metric, mean in accounted.items()}
    if not stages:
        return TimeSpent()
    mean = load.window.service_time.mean_ns / NS_PER_MS
    columns = {name: stages[name] for name in TimeSpent.__slots__ if name in stages}
    return TimeSpent(**columns, overhead_ms=_known(mean - math.fsum(stages.values())))


def _health(load: LoadResult, servers: Servers, found: Disturbance) -> TrialHealth:
    in_flight = load.in_flight_mean
    residual = abs(in_flight - load.completion_rate * load.residence_s) / in_flight if in_flight else math.nan
    lag = load.window.schedule_lag
    return TrialHealth(
        schedule_lag_p99_ms=_ms(lag.percentile_ns(99)),
        generator_cpu_cores=max(generator.cpu_cores for generator in load.generators),
        servers_cpu_cores=servers.cpu_cores,
        balancers_cpu_cores=servers.balancers_cpu_cores,
        servers_rss_mb=servers.rss_mb,
        retries=servers.retries,
        drift=_known(load.drift),
        littles_law_residual=_known(residual),
        valid=True,
        others_cpu_cores=servers.contention.others_cpu_cores if servers.contention else None,
        disturbance_ms=found.added_ms,
        disturbance_share=found.share,
        disturbed_by=str(found.source) if found.source else None,
    )


_QUANTILES = {
    "response_time_p50_ms": 0.5,
    "response_time_p90_ms": 0.9,
    "response_time_p95_ms": 0.95,
    "response_time_p99_ms": 0.99,
    "response_time_p99_9_ms": 0.999,
    "response_time_max_ms": 1.0,
    "service_time_p50_ms": 0.5,
    "service_time_p99_ms": 0.99,
}


def _figures(
    load: LoadResult,
    factors: Factors,
    outcome: TrialOutcome,
    spent: TimeSpent,
    contention: Contention | None,
) -> WindowFigures:
    """Return what the estimate of a disturbance is made from."""
    closed = load.spec.load if isinstance(load.spec.load, Closed) else None
    rate = factors.requested_rate
    answered = _known(load.throughput_rps)
    times = {name: (getattr(outcome, name), quantile) for name, quantile in _QUANTILES.items()}
    return WindowFigures(
        answers_per_s=load.completion_rate,
        in_flight=_known(load.in_flight_mean) or 1.0,
        closed=closed is not None,
        think_ms=closed.think_time_s * 1000 if closed else 0.0,
        behind=max(0.0, 1 - answered / rate) if answered and rate else 0.0,
        mean_ms=outcome.response_time_mean_ms or 0.0,
        times_ms={name: time for name, time in times.items() if time[0] is not None},
        overhead_ms=spent.overhead_ms,
        stages=_stage_times(factors, load.stages_ms, load.completion_rate, load.succeeded),
        lag_ms=_ms(load.window.schedule_lag.mean_ns) or 0.0,
        others_cpu_cores=contention.others_cpu_cores if contention else None,
        own_cpu_cores=contention.own_cpu_cores if contention else 0.0,
        generators=tuple(
            _use(generator, contention.stolen_share if contention else 0.0) for generator in load.generators
        ),
        servers=contention.servers if contention else (),
        waits=tuple(sum(counts) for counts in zip(*(g.waits for g in load.generators), strict=False)),
        waits_of=sum(generator.timeslices or 0.0 for generator in load.generators) * load.window_s,
    )


_VARIATION = {Distribution.CONSTANT: 0.0, Distribution.EXPONENTIAL: 1.0, Distribution.LOGNORMAL: 1.31}
"""Standard deviation over mean of service times."""
_SURE = 2.0
"""Standard errors within which a mean is taken for what was set."""


def _stage_times(
    factors: Factors, stages_ms: Mapping[str, float], answers_per_s: float, answers: int
) -> dict[str, StageTimes]:
    """Return what each service reported of its slots, by its name, beside what the factors set it to be.

    `stages_ms` are the means of Server-Timing's metrics, such as service1-work.
    """
    names = [metric.removesuffix("-work") for metric in stages_ms if metric.endswith("-work")]
    return {
        name: StageTimes(
            work_ms=stages_ms[f"{name}-work"],
            queue_ms=stages_ms.get(f"{name}-queue", 0.0),
            set_ms=set_ms,
            scatter_ms=_scatter_ms(factors, set_ms, answers),
            utilization=_utilization(factors, stages_ms[f"{name}-work"], answers_per_s),
        )
        for name, set_ms in zip(sorted(names), _set_times_ms(factors, len(names)), strict=True)
    }


def _set_times_ms(factors: Factors, services: int) -> tuple[float | None, ...]:
    timeless = factors.work not in (WorkKind.IO, WorkKind.CPU)
    if timeless or factors.work_ms is None or factors.work_distribution == Distribution.NONE:
        return (None,) * services
    times = [float(part) or None for part in factors.work_ms.split(",")]
    return (
        tuple(times * services if len(times) == 1 else times)
        if services % len(times) == 0
        else (None,) * services
    )


def _scatter_ms(factors: Factors, set_ms: float | None, answers: int) -> float:
    variation = _VARIATION.get(Distribution(factors.work_distribution or Distribution.NONE), 0.0)
    return _SURE * variation * (set_ms or 0.0) / math.sqrt(max(1, answers))


def _utilization(factors: Factors, work_ms: float, answers_per_s: float) -> float:
    slots = (factors.slots or 1) * (factors.replicas or 1)
    return min(1.0, answers_per_s * work_ms / 1000 / slots)


def _use(generator: GeneratorHealth, stolen_share: float) -> ProcessorUse:
    cores, delay = generator.cpu_cores, generator.run_delay or 0.0
    busiest = min(1.0, cores + delay)
    return ProcessorUse(cores, delay, generator.timeslices or 0.0, busiest, cores * stolen_share)


def _evidence(load: LoadResult, measurement: Measurement, servers: Servers, found: Disturbance) -> Evidence:
    health = measurement.health
    return Evidence(
        succeeded=load.succeeded,
        due=load.requests + load.dropped,
        dropped=load.dropped,
        disturbance=found,
        littles_law_residual=health.littles_law_residual,
        request_share=_known(load.residence_s / load.window_s) or 0.0,
        drift=health.drift,
        drift_p=_known(_drift_p(load)),
        servers_changed=servers.changed,
        balancer_shortages=servers.balancer_shortages,
    )


def _drift_p(load: LoadResult) -> float:
    """Return the probability that chance alone makes the first and last third differ so much, by batches.

    In a closed loop, requests in flight together share a fate for as long as they are, so a batch lasts at
    least a response time: a third that holds fewer than two batches tells nothing, and gives nan. An open
    loop's response times have no such bound; there, shorter batches show that they grow.
    """
    means = load.timeline.mean_response_ns(load.first_slice, load.last_slice)
    third = len(means) // 3
    thirds = [part[~np.isnan(part)] for part in (means[:third], means[len(means) - third :])]
    batches = BATCHES
    if isinstance(load.spec.load, Closed) and load.residence_s > 0:
        batches = min(batches, int(load.window_s / 3 / load.residence_s))
    return difference_p(*(batch_means(part, batches) for part in thirds)) if batches > 1 else math.nan


def _percentile(histogram: Histogram, percentile: float) -> float | None:
    """Return a percentile in ms; blank below its sample floor."""
    enough = len(histogram) >= sample_floor(percentile / 100)
    return _ms(histogram.percentile_ns(percentile)) if enough else None


def _ms(nanoseconds: float) -> float | None:
    return _known(nanoseconds / NS_PER_MS)


def _known(value: float | None) -> float | None:
    """Return the value as a plain float; None where it is no finite number."""
    return float(value) if value is not None and math.isfinite(value) else None
