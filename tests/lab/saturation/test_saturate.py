from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from lab.arrivals import Closed, Load, LoadModel, Poisson
from lab.errors import BadParameter
from lab.measure.columns import Factors, TrialHealth, TrialOutcome
from lab.measure.conditions import Condition
from lab.measure.measurement import Measurement
from lab.measure.percentiles import sample_floor
from lab.saturation import Ending, Probe, ProbeRow, SearchInterrupted, SearchSpec, saturate
from lab.saturation.saturate import LONGEST_S
from lab.theory.queues import lindley_waits
from tests.support.measurements import make_measurement

GOAL = (Condition.parse("p99=200ms"), Condition.parse("errors=0"))


@dataclass
class Server:
    """A server of known capacity with one slot: Lindley's recursion over the schedule instead of time."""

    make: Callable[..., Measurement]
    capacity: float
    jitter: float = 0.0
    floor_ms: float = 0.0
    generator_limit: float = float("inf")
    probes: list[tuple[Load, float]] = field(default_factory=list)

    def __call__(self, load: Load, duration_s: float) -> Measurement:
        self.probes.append((load, duration_s))
        if isinstance(load, Closed):
            return self._closed(load, duration_s)
        draw = np.random.default_rng(len(self.probes))
        arrivals = load.schedule(0.0, duration_s, seed=len(self.probes)).intended_ns / 1e9
        services = np.exp(draw.normal(0, self.jitter, len(arrivals))) / self.capacity
        times = lindley_waits(arrivals, services) + services
        ends = np.sort(arrivals + times)
        within = ends[ends <= duration_s]
        throughput = (len(within) - 1) / (within[-1] - within[0])
        p99_ms = float(np.quantile(times, 0.99)) * 1000 + self.floor_ms
        assert load.requested_rate is not None
        return self._row(load, duration_s, len(arrivals), throughput, p99_ms, load.requested_rate)

    def _closed(self, load: Closed, duration_s: float) -> Measurement:
        p99_ms = 1000 * load.concurrency / self.capacity + self.floor_ms
        throughput = 1000 * load.concurrency / p99_ms
        return self._row(load, duration_s, round(throughput * duration_s), throughput, p99_ms, throughput)

    def _row(
        self, load: Load, duration_s: float, requests: int, throughput: float, p99_ms: float, rate: float
    ) -> Measurement:
        bound = rate > self.generator_limit
        row = self.make()
        return Measurement(
            what=row.what,
            factors=Factors(load_model=load.model, duration_s=duration_s),
            outcome=TrialOutcome(
                requests=requests,
                succeeded=requests,
                failed=0,
                dropped=0,
                throughput_rps=throughput,
                response_time_p99_ms=None if bound or requests < sample_floor(0.99) else p99_ms,
            ),
            health=TrialHealth(valid=not bound, invalid_reason="generator_bound" if bound else None),
        )


@pytest.fixture
def server() -> Callable[..., Server]:
    return lambda capacity, **more: Server(make_measurement, capacity, **more)


@pytest.mark.parametrize("capacity", [25.0, 430.0, 12_345.0])
@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_a_known_capacity_is_found_within_3_percent_in_8_probes(
    server: Callable[..., Server], capacity: float, jitter: float
) -> None:
    found = saturate(SearchSpec(goal=GOAL), server(capacity, jitter=jitter))
    assert found.ending is Ending.SETTLED
    assert len(found.probes) <= 8
    assert found.highest_kept == pytest.approx(capacity, rel=0.03)


@pytest.mark.parametrize("guess", [10.0, 5000.0])
def test_a_guess_that_is_far_off_still_leads_there(server: Callable[..., Server], guess: float) -> None:
    found = saturate(SearchSpec(goal=GOAL, guess=guess), server(100.0))
    assert found.highest_kept == pytest.approx(100, rel=0.03)
    assert len(found.probes) <= 8


def test_a_goal_that_breaks_before_capacity_is_bracketed(server: Callable[..., Server]) -> None:
    """M/D/1 at 100/s keeps p99 at 50 ms up to some utilization between a half and 1."""
    question = SearchSpec(goal=(Condition.parse("p99=50ms"),), model=LoadModel.POISSON, duration_s=200)
    found = saturate(question, server(100.0))
    assert found.highest_kept is not None
    assert found.lowest_broken is not None
    assert 50 < found.highest_kept < found.lowest_broken < 95
    assert len(found.probes) <= 8


def test_in_a_closed_loop_the_concurrency_is_found(server: Callable[..., Server]) -> None:
    probed = server(100.0)
    found = saturate(SearchSpec(goal=GOAL, model=LoadModel.CLOSED), probed)
    assert (found.highest_kept, found.lowest_broken) == (20, 21)
    assert all(isinstance(load, Closed) for load, _ in probed.probes)


def test_probes_are_long_enough_for_the_percentile_in_the_goal(server: Callable[..., Server]) -> None:
    probed = server(25.0)
    saturate(SearchSpec(goal=GOAL, duration_s=5.0), probed)
    assert all(
        duration_s * load.requested_rate >= 662 for load, duration_s in probed.probes if load.requested_rate
    )


def test_a_server_too_slow_for_the_goal_is_not_probed_for_hours(server: Callable[..., Server]) -> None:
    probed = server(0.5)
    found = saturate(SearchSpec(goal=GOAL), probed)
    assert len(probed.probes) == 1
    assert found.ending is Ending.TOO_SLOW
    assert found.sentence() == (
        "Too slow for p99 <= 200 ms and errors <= 0: that takes 5.5 answers a second (1 probe)."
    )


def test_no_probe_is_longer_than_anybody_waits(server: Callable[..., Server]) -> None:
    probed = server(100.0, floor_ms=500.0)
    assert saturate(SearchSpec(goal=GOAL), probed).ending is Ending.TOO_SLOW
    assert max(duration_s for _, duration_s in probed.probes) <= LONGEST_S


def test_whoever_asks_for_longer_probes_has_them() -> None:
    question = SearchSpec(goal=(Condition.parse("errors=0"),), duration_s=2 * LONGEST_S)
    assert question.seconds(1.0) == 2 * LONGEST_S
    assert question.slowest < 1.0


def test_a_generator_that_is_the_bottleneck_ends_the_search(server: Callable[..., Server]) -> None:
    found = saturate(SearchSpec(goal=GOAL, guess=100.0), server(1e6, generator_limit=1000.0))
    assert found.ending is Ending.NOT_MEASURABLE
    assert found.highest_kept is not None
    assert found.highest_kept <= 1000
    assert "generator_bound" in found.sentence()


def test_a_probe_that_was_disturbed_once_is_repeated(server: Callable[..., Server]) -> None:
    probed = server(100.0)

    def disturbed_at_the_second(load: Load, duration_s: float) -> Measurement:
        probed.generator_limit = 0.0 if len(probed.probes) == 1 else float("inf")
        return probed(load, duration_s)

    found = saturate(SearchSpec(goal=GOAL), disturbed_at_the_second)
    assert found.ending is Ending.SETTLED
    assert [load for load, _ in probed.probes[1:3]] == [probed.probes[1][0]] * 2


def busy(row: Measurement) -> Measurement:
    health = replace(row.health, disturbed_by="others", disturbance_share=0.3)
    return replace(row, health=health).invalidated(["machine_busy"])


def test_probes_that_others_spoilt_are_made_up_for_and_cost_the_search_none(
    server: Callable[..., Server], capfd: pytest.CaptureFixture[str]
) -> None:
    probed = server(100.0)

    def often_disturbed(load: Load, duration_s: float) -> Measurement:
        row = probed(load, duration_s)
        return busy(row) if len(probed.probes) in (2, 3, 4) else row

    plain = saturate(SearchSpec(goal=GOAL), server(100.0))
    found = saturate(SearchSpec(goal=GOAL), often_disturbed)
    assert found.ending is Ending.SETTLED
    assert len(found.probes) == len(plain.probes) + 3
    assert capfd.readouterr().err.count("machine_busy so far") == 1


def test_no_more_probes_are_made_up_for_than_the_search_allows(server: Callable[..., Server]) -> None:
    probed = server(100.0)
    spec = SearchSpec(goal=GOAL, guess=50.0, redo_invalid=1)
    found = saturate(spec, lambda load, duration_s: busy(probed(load, duration_s)))
    assert found.ending is Ending.NOT_MEASURABLE
    assert len(found.probes) == 3
    assert "machine_busy" in found.sentence()
    with pytest.raises(BadParameter, match="redo_invalid"):
        replace(spec, redo_invalid=-1)


def test_a_figure_that_others_moved_is_not_called_one_of_too_few_answers(
    server: Callable[..., Server],
) -> None:
    probed = server(100.0)

    def moved(load: Load, duration_s: float) -> Measurement:
        row = probed(load, duration_s)
        health = replace(row.health, disturbed_by="others", disturbance_share=0.3)
        return replace(row, health=health).without(["response_time_p99_ms"])

    found = saturate(SearchSpec(goal=GOAL, guess=50.0, redo_invalid=False), moved)
    assert "other programs moved" in found.sentence()


def test_a_server_that_answers_nothing_is_not_searched_for_long(server: Callable[..., Server]) -> None:
    probed = server(100.0)

    def refused(load: Load, duration_s: float) -> Measurement:
        row = probed(load, duration_s)
        count = row.outcome.requests
        none = replace(
            row.outcome, succeeded=0, failed=count, failures=f"refused={count}", throughput_rps=None
        )
        return replace(row, outcome=none)

    found = saturate(SearchSpec(goal=GOAL, guess=50.0), refused)
    assert len(found.probes) == 2
    assert found.ending is Ending.NOT_MEASURABLE
    assert found.sentence().startswith("Nothing succeeded: refused ×")


def test_a_goal_that_nothing_keeps_is_said(server: Callable[..., Server]) -> None:
    found = saturate(SearchSpec(goal=GOAL), server(100.0, floor_ms=500.0))
    assert found.highest_kept is None
    assert found.sentence().startswith("No level tried keeps p99 <= 200 ms and errors <= 0")


def test_the_answer_is_said_with_what_bounds_it(server: Callable[..., Server]) -> None:
    sentence = saturate(SearchSpec(goal=GOAL), server(100.0)).sentence()
    assert sentence == (
        "98.52 req/s keeps p99 <= 200 ms and errors <= 0, 101.5 req/s does not (3 probes, settled)."
    )


def test_every_probe_is_kept_as_a_row(server: Callable[..., Server]) -> None:
    probed = server(100.0)
    assert len(saturate(SearchSpec(goal=GOAL), probed).probes) == len(probed.probes)


def test_a_question_without_a_goal_or_a_level_is_refused() -> None:
    with pytest.raises(BadParameter, match="at least one condition"):
        SearchSpec(goal=())
    with pytest.raises(BadParameter, match="ramp"):
        SearchSpec(goal=GOAL, model=LoadModel.RAMP)


def test_the_load_at_a_level_is_of_the_model_asked_for() -> None:
    assert SearchSpec(goal=GOAL, model=LoadModel.POISSON).load(7.5) == Poisson(7.5)
    assert SearchSpec(goal=GOAL, model=LoadModel.CLOSED).load(7.0) == Closed(7)


def short_of_connections(server: Server, most: float, *, service_ms: float = 1000.0) -> Probe:
    """Probe a server that takes any rate, by a generator that can put on no more than `most`."""

    def probe(load: Load, duration_s: float) -> Measurement:
        row = server(load, duration_s)
        rate = min(load.requested_rate or 32.0, most)
        lacking = (load.requested_rate or 0.0) > most
        due = round((load.requested_rate or 32.0) * duration_s)
        sent = round(rate * duration_s)
        outcome = replace(
            row.outcome,
            requests=sent,
            succeeded=sent,
            dropped=due - sent,
            throughput_rps=rate,
            service_time_p99_ms=service_ms,
            service_time_p50_ms=service_ms,
            response_time_p99_ms=service_ms + (500 if lacking else 0),
        )
        parts = {name: getattr(row, name) for name in Measurement.GROUPS} | {"outcome": outcome}
        return ProbeRow(**parts, shortage="all 256 connections are in use" if lacking else None)

    return probe


LAX = (Condition.parse("p99=1.2s"), Condition.parse("errors=0"))


def test_what_the_generator_lacks_is_never_the_servers_limit(server: Callable[..., Server]) -> None:
    found = saturate(SearchSpec(goal=LAX), short_of_connections(server(1e6), 256.0))
    assert found.ending is Ending.NOT_MEASURABLE
    assert found.highest_kept is not None
    assert 240 < found.highest_kept <= 256
    assert found.lowest_broken is None
    assert found.sentence() == (
        f"Not measurable beyond {found.highest_kept:.4g} req/s: all 256 connections are in use "
        f"({len(found.probes)} probes)."
    )


def test_a_goal_that_the_server_breaks_by_itself_is_broken_though_the_generator_lacks_something(
    server: Callable[..., Server],
) -> None:
    found = saturate(SearchSpec(goal=GOAL, guess=1000.0), short_of_connections(server(1e6), 256.0))
    assert found.shortage is None
    assert found.lowest_broken is not None
    assert found.sentence().startswith("No level tried keeps p99 <= 200 ms")


def test_a_search_that_is_interrupted_says_what_it_has_come_to(server: Callable[..., Server]) -> None:
    probed = server(100.0)

    def interrupted_at_the_third(load: Load, duration_s: float) -> Measurement:
        if len(probed.probes) == 2:
            raise KeyboardInterrupt
        return probed(load, duration_s)

    with pytest.raises(SearchInterrupted) as caught:
        saturate(SearchSpec(goal=GOAL), interrupted_at_the_third)
    assert caught.value.so_far.ending is Ending.INTERRUPTED
    assert caught.value.so_far.sentence() == (
        "Interrupted after 2 probes: 98.52 req/s keeps p99 <= 200 ms and errors <= 0."
    )


@pytest.mark.parametrize("text", ["p99>200ms", "errors>0", "max>=1s"])
def test_a_goal_that_too_much_load_keeps_is_refused(text: str) -> None:
    with pytest.raises(BadParameter, match="is no goal: it is kept where there is too much load; write"):
        SearchSpec(goal=(Condition.parse(text),))


def test_a_guess_that_no_generator_can_make_is_refused() -> None:
    with pytest.raises(BadParameter, match="guess is 1e"):
        SearchSpec(goal=GOAL, guess=1e300)
