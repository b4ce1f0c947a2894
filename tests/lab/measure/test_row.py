from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lab.arrivals import Closed, Constant, Load, Poisson, Ramp
from lab.expectations import Verdict
from lab.load.outcomes import Outcome, code_of
from lab.load.recorder import Recorder
from lab.load.result import GeneratorHealth, LoadResult
from lab.load.spec import LoadSpec, PipelineBody
from lab.measure.columns import Factors
from lab.measure.machine_watch import Contention
from lab.measure.measurement import Measurement
from lab.measure.references import references
from lab.measure.row import Servers, Trial, factors_of, histograms_of, measure
from lab.measure.validity import InvalidReason
from lab.topology import Topology

MS = 1_000_000
FACTORS = Factors(topology="sequential", replicas=1, load_model="closed", concurrency=1, duration_s=10)
TRIAL = Trial("mine", "sequential-c1", 2)
HEALTHY = GeneratorHealth(cpu_cores=0.1, run_delay=0.0, connections=1, timer="timerfd", loop="uvloop")


def recorded(
    load: Load,
    response_ms: list[float],
    *,
    gap_ms: float,
    late_ms: float = 0.0,
    failures: int = 0,
    dropped: int = 0,
    timings: bytes = b"",
    health: GeneratorHealth = HEALTHY,
) -> LoadResult:
    """What a generator would record of requests `gap_ms` apart, each sent `late_ms` late."""
    spec = LoadSpec(
        url="http://127.0.0.1:1/", load=load, duration_s=len(response_ms) * gap_ms / 1000, warmup_s=0.0
    )
    recorder = Recorder(0, spec.slice_ns, spec.slices)
    timeline = recorder.timeline
    for number, response in enumerate(response_ms):
        intended = round(number * gap_ms * MS)
        sent, ended = intended + round(late_ms * MS), intended + round(response * MS)
        failed = number < failures
        recorder.ended.append((intended, max(sent, 1), ended, code_of(Outcome.RESET) if failed else 200))
        if not isinstance(load, Closed):
            recorder.lags.append((intended, sent - intended))
        if timings:
            recorder.timed.append(intended)
            recorder.timings.append(timings)
    recorder.dropped.extend([0] * dropped)
    window = recorder.window(0, spec.slices)
    timeline.in_flight_ns[: len(timeline.service_ns)] = timeline.service_ns
    return LoadResult(
        spec=spec,
        started_at=datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        schedule_hash="abc",
        warmup_s=0.5,
        window_s=spec.duration_s,
        window=window,
        totals=window.outcomes,
        dropped_in_all=dropped,
        timeline=timeline,
        first_slice=0,
        last_slice=spec.slices,
        generators=(health,),
    )


def sequential(response_ms: float = 160.0, count: int = 100) -> LoadResult:
    return recorded(Closed(1), [response_ms] * count, gap_ms=response_ms)


def of(load: LoadResult, factors: Factors = FACTORS, **more: object) -> Measurement:
    return measure(TRIAL, factors, load, **more)  # type: ignore[arg-type]


def test_a_row_says_which_trial_it_is_and_when_it_began() -> None:
    what = of(sequential()).what
    assert (what.sweep_id, what.cell_id, what.trial) == ("mine", "sequential-c1", 2)
    assert what.schedule_hash == "abc"
    assert what.started_at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_counts_latency_and_throughput_are_those_recorded() -> None:
    outcome = of(sequential()).outcome
    assert (outcome.requests, outcome.succeeded, outcome.failed, outcome.dropped) == (100, 100, 0, 0)
    assert outcome.throughput_rps == pytest.approx(6.25)
    assert outcome.response_time_mean_ms == pytest.approx(160)
    assert outcome.response_time_p50_ms == pytest.approx(160, rel=1e-3)
    assert outcome.in_flight_mean == pytest.approx(1, rel=0.02)


def test_percentiles_below_their_floor_are_blank_and_the_row_is_still_valid() -> None:
    row = of(sequential(count=129)).row()
    assert row["valid"] is True
    known = {name for name, cell in row.items() if name.startswith("response_time_p") and cell is not None}
    assert known == {"response_time_p50_ms", "response_time_p90_ms"}
    assert of(sequential(count=130)).outcome.response_time_p95_ms is not None


def test_failures_are_named_by_class_and_counted() -> None:
    outcome = of(recorded(Closed(1), [10.0] * 100, gap_ms=10.0, failures=3)).outcome
    assert (outcome.succeeded, outcome.failed, outcome.failures) == (97, 3, "reset=3")


def test_response_time_runs_from_the_intended_start_and_service_time_from_the_send() -> None:
    measurement = of(recorded(Constant(100), [12.0] * 100, gap_ms=10.0, late_ms=1.0))
    assert measurement.outcome.response_time_p50_ms == pytest.approx(12, rel=1e-3)
    assert measurement.outcome.service_time_p50_ms == pytest.approx(11, rel=1e-3)
    assert measurement.health.schedule_lag_p99_ms == pytest.approx(1, rel=1e-3)
    assert measurement.health.valid


def test_what_no_service_accounts_for_is_overhead() -> None:
    timings = b"service1-queue;dur=1.5, service1-work;dur=40, service4-work;dur=38, db;dur=30"
    spent = of(recorded(Closed(1), [100.0] * 50, gap_ms=100.0, timings=timings)).spent
    assert (spent.service1_queue_ms, spent.service1_work_ms, spent.service4_work_ms) == (1.5, 40, 38)
    assert spent.service2_work_ms is None
    assert spent.overhead_ms == pytest.approx(100 - 1.5 - 40 - 38)


def test_a_target_without_server_timing_leaves_blank_where_time_went() -> None:
    assert all(cell is None for name, cell in of(sequential()).row().items() if name.startswith("service1_"))
    assert of(sequential()).spent.overhead_ms is None


@pytest.mark.parametrize(
    ("response_ms", "throughput", "latency"),
    [
        (160.0, Verdict.WITHIN, Verdict.WITHIN),
        (40.0, Verdict.ABOVE, Verdict.BELOW),
        (250.0, Verdict.BELOW, Verdict.ABOVE),
    ],
)
def test_a_trial_where_the_documents_speak_is_judged(
    response_ms: float, throughput: Verdict, latency: Verdict
) -> None:
    against = of(sequential(response_ms)).against
    assert (against.expected_throughput_low_rps, against.expected_response_time_high_ms) == (5, 200)
    assert (against.verdict_throughput, against.verdict_latency) == (throughput, latency)


def test_a_few_slow_answers_are_not_smeared_by_where_slices_end() -> None:
    assert of(sequential(190.0, count=30)).against.verdict_throughput is Verdict.WITHIN


@pytest.mark.parametrize("load", [Closed(2), Closed(1, think_time_s=1.0), Poisson(6.0)])
def test_elsewhere_nothing_is_judged(load: Load) -> None:
    against = of(recorded(load, [160.0] * 50, gap_ms=160.0)).against
    assert against.expected_throughput_low_rps is None
    assert against.verdict_throughput is None


@pytest.mark.parametrize(
    ("load", "rps", "ms"),
    [
        (Closed(1), 6.25, 160),
        (Constant(20.0), 20, 160),
        (Poisson(12.5), 12.5, 180),
        (Poisson(40.0), 25, None),
        (Ramp(1.0, 20.0), None, None),
    ],
)
def test_theory_predicts_what_it_can(load: Load, rps: float | None, ms: float | None) -> None:
    held_against = references(load, FACTORS, Topology.sequential())
    against = of(recorded(load, [160.0] * 50, gap_ms=160.0), against=held_against).against
    assert (against.predicted_throughput_rps, against.predicted_response_time_ms) == (
        pytest.approx(rps) if rps else None,
        pytest.approx(ms) if ms else None,
    )


def test_the_servers_figures_pass_into_the_row() -> None:
    servers = Servers(cpu_cores=0.5, balancers_cpu_cores=0.1, rss_mb=60.0, retries=3)
    health = of(sequential(), servers=servers).health
    assert (health.servers_cpu_cores, health.balancers_cpu_cores) == (0.5, 0.1)
    assert (health.servers_rss_mb, health.retries) == (60, 3)


def invalid_reason(load: LoadResult, **more: object) -> str | None:
    return of(load, **more).health.invalid_reason


def test_a_growing_response_time_is_not_steady_unless_it_is_planned() -> None:
    growing = recorded(Constant(100), [10.0 + n for n in range(300)], gap_ms=10.0)
    assert invalid_reason(growing) == "not_steady"
    assert of(growing).outcome.response_time_p50_ms is None
    assert invalid_reason(growing, exempt={InvalidReason.NOT_STEADY}) is None


def test_a_closed_loop_that_wanders_within_few_response_times_is_not_called_unsteady() -> None:
    """Thirty-two in flight for 1.5 s each: a window of four seconds sees hardly three of their turns."""
    wandering = [1_200.0] * 32 + [1_500.0] * 20 + [1_800.0] * 32
    trial = recorded(Closed(32), wandering, gap_ms=48)
    assert trial.drift > 0.3
    assert of(trial, replace(FACTORS, concurrency=32)).health.valid


def test_a_closed_loop_that_slows_down_over_many_response_times_is_not_steady() -> None:
    slowing = [100.0 + number for number in range(400)]
    assert InvalidReason.NOT_STEADY in (
        of(recorded(Closed(1), slowing, gap_ms=300)).health.invalid_reason or ""
    )


ALONE = Contention(others_cpu_cores=0.01, own_cpu_cores=0.3)
CROWDED = Contention(others_cpu_cores=1.9, own_cpu_cores=0.3)
KEPT_WAITING = replace(HEALTHY, run_delay=0.4, timeslices=200.0, waits=(0,) * 32)


def test_a_generator_that_others_kept_waiting_makes_the_machine_busy() -> None:
    row = of(
        recorded(Closed(1), [10.0] * 100, gap_ms=10.0, health=KEPT_WAITING),
        servers=Servers(contention=CROWDED),
    )
    assert row.health.invalid_reason == "machine_busy"
    assert row.health.disturbed_by == "others"
    assert row.health.others_cpu_cores == 1.9
    assert (row.outcome.throughput_rps, row.outcome.response_time_p50_ms) == (None, None)


@pytest.mark.parametrize("contention", [ALONE, None])
def test_a_counter_alone_makes_no_row_invalid(contention: Contention | None) -> None:
    waiting = recorded(Closed(1), [10.0] * 100, gap_ms=10.0, health=KEPT_WAITING)
    row = of(waiting, servers=Servers(contention=contention))
    assert row.health.valid
    assert row.health.disturbed_by is None


def test_only_the_numbers_that_moved_are_blank_in_a_row_that_stands() -> None:
    """In an open loop what arrives is answered, however long it takes."""
    row = of(
        recorded(Constant(100), [10.0] * 700, gap_ms=10.0, health=KEPT_WAITING),
        servers=Servers(contention=CROWDED),
    )
    assert row.health.valid
    assert row.outcome.throughput_rps == pytest.approx(100)
    assert (row.outcome.response_time_mean_ms, row.outcome.response_time_p99_ms) == (None, None)
    assert row.health.disturbance_share > 0.05
    assert row.health.disturbance_ms == pytest.approx(4 / 0.6 * 0.6 * 1.9 / 2.1, rel=0.3)


def test_a_generator_that_uses_all_of_its_core_is_bound() -> None:
    bound = recorded(Closed(32), [10.0] * 100, gap_ms=0.3125, health=replace(HEALTHY, cpu_cores=0.99))
    row = of(bound)
    assert row.health.invalid_reason == "generator_bound"
    assert row.health.disturbed_by == "generator"


def test_requests_that_were_never_sent_leave_the_rate_not_achieved() -> None:
    assert (
        invalid_reason(recorded(Constant(100), [10.0] * 100, gap_ms=10.0, dropped=5)) == "rate_not_achieved"
    )


def test_servers_that_failed_what_was_sent_are_no_reason() -> None:
    assert invalid_reason(recorded(Constant(100), [10.0] * 100, gap_ms=10.0, failures=50)) is None


def test_a_count_that_contradicts_littles_law_is_noticed() -> None:
    lost = sequential()
    lost.timeline.in_flight_ns *= 2
    assert invalid_reason(lost) == "littles_law"
    assert of(lost).health.littles_law_residual == pytest.approx(0.5)


def test_changed_servers_are_a_reason_unless_it_was_planned() -> None:
    assert invalid_reason(sequential(), servers=Servers(changed=True)) == "servers_changed"
    assert (
        invalid_reason(sequential(), servers=Servers(changed=True), exempt={InvalidReason.SERVERS_CHANGED})
        is None
    )


def test_a_balancer_that_ran_short_is_a_reason() -> None:
    assert invalid_reason(sequential(), servers=Servers(balancer_shortages=2)) == "balancer_short"


def test_nothing_answered_is_a_row_too() -> None:
    silent = recorded(Closed(1), [10.0] * 5, gap_ms=10.0, failures=5)
    row = of(silent).row()
    assert (row["succeeded"], row["throughput_rps"], row["response_time_p50_ms"]) == (0, None, None)
    assert row["invalid_reason"] == "too_few_samples"


def test_histograms_are_kept_in_full() -> None:
    kept = histograms_of(sequential())
    assert set(kept) == {"response_time", "service_time"}


@pytest.mark.parametrize(
    ("load", "levels"),
    [
        (Closed(3, think_time_s=0.5), {"load_model": "closed", "concurrency": 3, "think_time_ms": 500}),
        (Poisson(7.5), {"load_model": "poisson", "concurrency": None, "requested_rate": 7.5}),
        (Ramp(1.0, 3.0), {"load_model": "ramp", "requested_rate": 2}),
    ],
)
def test_a_spec_of_load_tells_its_factors(load: Load, levels: dict[str, object]) -> None:
    factors = factors_of(LoadSpec(url="http://127.0.0.1:1/", load=load, seed=5, body=b"1234"))
    told = {"seed": 5, "payload_bytes": 4, "duration_s": 10, "warmup_s": 1, "warmup_mode": "fixed"} | levels
    assert {name: getattr(factors, name) for name in told} == told


def test_what_is_known_of_a_target_stays_beside_the_factors_of_its_load() -> None:
    spec = LoadSpec(url="http://127.0.0.1:1/", load=Poisson(7.5), body=PipelineBody(2048, "prose.txt"))
    factors = factors_of(spec, FACTORS)
    assert (factors.topology, factors.concurrency, factors.requested_rate) == ("sequential", None, 7.5)
    assert (factors.payload_bytes, factors.corpus) == (2048, "prose.txt")
