"""What others did is told from what servers do to each other, for each kind of neighbour and each number.

The counters are made up, of the size that such neighbours were seen to make.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.load.process_limits import WAIT_EDGES_MS
from lab.measure.disturbance import DisturbanceSource, ProcessorUse, StageTimes, WindowFigures, estimate

SLOT = StageTimes(work_ms=40.3, queue_ms=0.0, set_ms=40.0, utilization=0.25)


def waits(**counts: int) -> tuple[int, ...]:
    """Waits by their length in ms, as `_5=3` for three of 5 ms."""
    found = [0] * len(WAIT_EDGES_MS)
    for name, count in counts.items():
        found[max(p for p, edge in enumerate(WAIT_EDGES_MS) if edge <= float(name[1:]))] += count
    return tuple(found)


def sequential(
    wait_ms: float, others: float, *, slot: StageTimes = SLOT, mean_ms: float = 165.0
) -> WindowFigures:
    """One user of four services of 40 ms in one process, which is let run 36 times a second."""
    return WindowFigures(
        answers_per_s=6.0,
        in_flight=1.0,
        closed=True,
        mean_ms=mean_ms,
        times_ms={"response_time_p50_ms": (mean_ms, 0.5), "response_time_max_ms": (mean_ms + 5, 1.0)},
        overhead_ms=4.0,
        stages={f"service{number}": slot for number in (1, 2, 3, 4)},
        others_cpu_cores=others,
        own_cpu_cores=0.06,
        generators=(ProcessorUse(0.02, 90 * wait_ms / 1000, 90.0, 0.1),),
        servers=(ProcessorUse(0.03, 36 * wait_ms / 1000, 36.0, 0.1),),
        waits_of=360.0,
    )


def test_a_quiet_machine_moves_nothing() -> None:
    found = estimate(sequential(0.02, others=0.04))
    assert (found.added_ms, found.share, found.source) == (0.0, 0.0, None)


def test_eight_loops_that_give_way_at_once_move_nothing_to_speak_of() -> None:
    found = estimate(sequential(0.1, others=1.9))
    assert found.added_ms == pytest.approx(0.4, abs=0.1)
    assert not {"throughput_rps", "response_time_mean_ms", "response_time_p50_ms"} & found.beyond()


def test_loops_that_keep_each_slice_waiting_add_that_wait_for_every_slice_on_the_way() -> None:
    """Seen on two cores among other jobs: 190.5 ms, and 164 to 166 where the machine is quiet."""
    slot = replace(SLOT, work_ms=42.4)
    found = estimate(replace(sequential(2.8, others=1.92, slot=slot, mean_ms=190.0), overhead_ms=21.0))
    assert 164 < 190 - found.added_ms < 166.5
    assert found.source is DisturbanceSource.OTHERS
    assert {"throughput_rps", "response_time_mean_ms"} <= found.beyond()
    assert found.share == max(found.moves.values()) > found.moves["response_time_mean_ms"]


@pytest.mark.parametrize(
    ("overhead_ms", "cpu", "delay"), [(9.7, 0.09, 0.17), (14.4, 0.06, 0.22), (6.2, 0.05, 0.06)]
)
def test_overhead_is_parted_as_the_time_of_the_processes_that_requests_need(
    overhead_ms: float, cpu: float, delay: float
) -> None:
    """Seen beside twelve jobs, behind balancers: 3.3 ms of overhead where the machine is quiet."""
    used = ProcessorUse(cpu, delay, 60.0, min(1.0, cpu + delay))
    seen = replace(sequential(0.1, others=1.9), overhead_ms=overhead_ms, servers=(used,))
    moved = estimate(seen).moves["overhead_ms"]
    assert overhead_ms / (1 + moved) == pytest.approx(3.3, abs=0.5)


def test_a_generator_that_waits_makes_overhead_too_where_the_servers_do_not() -> None:
    seen = sequential(2.0, others=1.9)
    alone = replace(seen, servers=tuple(replace(use, run_delay=0.0) for use in seen.servers))
    assert "overhead_ms" in estimate(alone).beyond()


def test_servers_that_wait_for_each_other_are_the_result() -> None:
    """Sixteen processes that compute on two cores: nobody else is there."""
    instances = tuple(ProcessorUse(0.12, 0.5, 30.0, 0.62) for _ in range(16))
    seen = WindowFigures(
        answers_per_s=8.0, in_flight=32, closed=True, mean_ms=4000, servers=instances,
        others_cpu_cores=0.06, own_cpu_cores=1.94, generators=(ProcessorUse(0.02, 0.3, 100, 0.3),),
    )  # fmt: skip
    assert estimate(seen).beyond() == frozenset()


def saturated(work_ms: float, run_delay: float, others: float) -> WindowFigures:
    """Thirty-two users of four services of 40 ms: a queue stands, and slots decide the rate."""
    rate = 1000 / work_ms
    mean_ms = 32_000 / rate
    slot = StageTimes(
        work_ms=work_ms, queue_ms=(mean_ms - 4 * work_ms - 3) / 4, set_ms=40.0, utilization=0.98
    )
    return WindowFigures(
        answers_per_s=rate, in_flight=32, closed=True, mean_ms=mean_ms, overhead_ms=3.0,
        stages={f"service{number}": slot for number in (1, 2, 3, 4)},
        others_cpu_cores=others, own_cpu_cores=0.2,
        generators=(ProcessorUse(0.02, 0.2, 120, 0.25),), servers=(ProcessorUse(0.13, run_delay, 125, 0.4),),
    )  # fmt: skip


def test_rare_bursts_in_real_time_move_nothing() -> None:
    assert not {"throughput_rps", "response_time_mean_ms"} & estimate(saturated(40.5, 0.004, 0.12)).beyond()


def test_long_bursts_that_lengthen_the_slot_take_that_much_of_the_throughput() -> None:
    """Bursts of 30 ms in 50 were seen to make 48 ms of 40 and to take 18 % of the throughput."""
    found = estimate(saturated(48.0, 0.3, 1.2))
    assert found.moves["throughput_rps"] == pytest.approx(0.16, abs=0.04)
    assert found.moves["service1_work_ms"] == pytest.approx(0.16, abs=0.05)
    assert {"throughput_rps", "service1_work_ms", "response_time_mean_ms"} <= found.beyond()


def test_queues_are_not_told_where_slots_are_lengthened_now_here_and_now_there() -> None:
    """Seen beside twelve jobs: a queue of 30 ms before the third of four services, of 0.2 ms without them."""
    longer = saturated(41.7, 0.3, 1.9)
    first = replace(longer.stages["service1"], queue_ms=1100.0)
    others = {f"service{n}": replace(first, queue_ms=queue_ms) for n, queue_ms in ((2, 30.0), (3, 0.2))}
    found = estimate(replace(longer, stages={"service1": first, **others}))
    assert "service2_queue_ms" in found.beyond()
    assert not {"service1_queue_ms", "service3_queue_ms", "service1_work_ms"} & found.beyond()


def test_a_longer_slot_is_no_disturbance_where_the_servers_waited_for_nobody_else() -> None:
    assert estimate(saturated(48.0, 0.3, 0.03)).share == 0.0
    assert "throughput_rps" not in estimate(saturated(48.0, 0.0, 1.2)).beyond()


def test_a_saturated_server_without_stages_loses_the_share_of_time_that_it_waits() -> None:
    """Nginx at 32 connections beside eight loops: ready all the time, and let run half of it."""
    seen = WindowFigures(
        answers_per_s=9000, in_flight=32, closed=True, mean_ms=32 / 9,
        others_cpu_cores=1.3, own_cpu_cores=0.7,
        generators=(ProcessorUse(0.3, 0.2, 2000, 0.5),), servers=(ProcessorUse(0.4, 0.55, 3000, 0.95),),
    )  # fmt: skip
    assert {"throughput_rps", "response_time_mean_ms"} <= estimate(seen).beyond()


def test_an_open_loop_keeps_its_throughput_and_loses_its_times() -> None:
    seen = replace(sequential(2.8, others=1.92), closed=False, lag_ms=2.0, overhead_ms=21.0)
    found = estimate(seen)
    assert found.moves["throughput_rps"] == 0.0
    assert "response_time_mean_ms" in found.beyond()
    behind = estimate(replace(seen, behind=0.2, stages={"service1": replace(SLOT, work_ms=48.0)}))
    assert 0 < behind.moves["throughput_rps"] <= 0.2


def test_a_late_pacer_moves_response_times_where_nobody_knows_who_kept_it() -> None:
    seen = WindowFigures(answers_per_s=100, in_flight=1, closed=False, mean_ms=10.0, lag_ms=2.0)
    assert estimate(seen).moves["response_time_mean_ms"] == pytest.approx(1 / 9)


def test_few_long_waits_move_the_tail_and_not_the_middle() -> None:
    """Many sleepers that give way, and one that holds the core for 30 ms ten times."""
    seen = replace(
        sequential(0.05, others=0.3),
        answers_per_s=100.0,
        overhead_ms=None,
        times_ms={f"p{100 * q:g}": (20.0, q) for q in (0.5, 0.9, 0.99, 1.0)},
        mean_ms=20.0,
        waits=waits(_1=100, _30=10),
        waits_of=1000.0,
    )
    moved = estimate(seen).moves
    assert moved["p50"] < 0.05 < moved["p99"]
    assert moved["p99"] > 1


def test_a_generator_that_uses_its_core_up_is_its_own_disturbance() -> None:
    seen = WindowFigures(
        answers_per_s=9000, in_flight=32, closed=True, mean_ms=32 / 9,
        others_cpu_cores=0.0, own_cpu_cores=1.9, generators=(ProcessorUse(0.97, 0.0, 2000, 0.97),),
    )  # fmt: skip
    found = estimate(seen)
    assert found.source is DisturbanceSource.GENERATOR
    assert "throughput_rps" in found.beyond()
    slow = replace(seen, answers_per_s=100.0, in_flight=20_000, mean_ms=200_000.0)
    assert estimate(slow).beyond() == frozenset(), "of 200 s, it is nothing"


def test_what_is_unknown_moves_nothing() -> None:
    assert estimate(WindowFigures(answers_per_s=6.0, in_flight=1.0, closed=True, mean_ms=165.0)).share == 0.0
    assert estimate(WindowFigures(answers_per_s=0.0, in_flight=0.0, closed=True, mean_ms=0.0)).moves == {}


@pytest.mark.parametrize("scatter_ms", [0.0, 8.0])
def test_random_service_times_are_not_taken_for_a_disturbance(scatter_ms: float) -> None:
    slot = replace(SLOT, work_ms=46.0, scatter_ms=scatter_ms)
    longer = estimate(sequential(2.0, 1.9, slot=slot)).moves["service1_work_ms"]
    assert (longer == 0) == (scatter_ms > 6)
