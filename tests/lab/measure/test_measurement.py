from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lab.errors import SchemaMismatch
from lab.measure.columns import TrialOutcome
from lab.measure.measurement import Measurement
from tests.support.measurements import make_measurement

CONTRACT = """
sweep_id cell_id trial started_at schedule_hash topology replicas policy balancer protocol placement
client work work_ms work_distribution slots corpus payload_bytes load_model concurrency
think_time_ms requested_rate seed duration_s warmup_s warmup_mode tuning requests succeeded failed failures
dropped achieved_rate throughput_rps response_time_mean_ms response_time_p50_ms response_time_p90_ms
response_time_p95_ms response_time_p99_ms response_time_p99_9_ms response_time_max_ms
service_time_p50_ms service_time_p99_ms in_flight_mean service1_queue_ms service2_queue_ms
service3_queue_ms service4_queue_ms service1_work_ms service2_work_ms service3_work_ms
service4_work_ms overhead_ms schedule_lag_p99_ms generator_cpu_cores servers_cpu_cores
balancers_cpu_cores servers_rss_mb retries drift littles_law_residual valid invalid_reason
others_cpu_cores disturbance_ms disturbance_share disturbed_by
expected_throughput_low_rps expected_throughput_high_rps expected_response_time_low_ms
expected_response_time_high_ms verdict_throughput verdict_latency predicted_throughput_rps
predicted_response_time_ms
"""


def test_a_row_has_exactly_the_columns_of_the_contract_in_its_order() -> None:
    assert list(make_measurement().row()) == CONTRACT.split()


def test_every_column_says_what_it_means() -> None:
    assert all(column.description.endswith(".") for column in Measurement.columns())


def test_what_does_not_apply_is_blank() -> None:
    assert make_measurement().row()["requested_rate"] is None


def test_a_number_that_is_left_out_takes_the_verdict_on_it_along() -> None:
    whole = make_measurement().row()
    row = make_measurement().without({"throughput_rps", "response_time_p50_ms", "overhead_ms"}).row()
    gone = {name for name in row if row[name] is None and whole[name] is not None}
    numbers = {"throughput_rps", "response_time_p50_ms", "overhead_ms"}
    assert gone - {"verdict_throughput", "verdict_latency"} <= numbers
    assert row["throughput_rps"] is row["verdict_throughput"] is row["verdict_latency"] is None
    assert row["valid"] is True


def test_an_invalid_row_keeps_health_and_throughput_and_leaves_latency_blank() -> None:
    row = make_measurement().invalidated(["not_steady", "littles_law"]).row()
    assert (row["valid"], row["invalid_reason"]) == (False, "littles_law not_steady")
    assert (row["throughput_rps"], row["schedule_lag_p99_ms"]) == (6.25, 0.25)
    latency = [name for name in row if name.startswith(("response_time", "service_time"))]
    assert len(latency) == 9
    assert all(
        row[name] is None for name in (*latency, "overhead_ms", "verdict_latency", "verdict_throughput")
    )


def test_nothing_is_invalid_without_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        make_measurement().invalidated([])


def test_a_row_of_text_becomes_the_measurement_it_came_from() -> None:
    measurement = make_measurement()
    text = {name: "" if cell is None else str(cell) for name, cell in measurement.row().items()}
    assert Measurement.from_row(text) == measurement


@pytest.mark.parametrize(
    ("column", "text"),
    [("trial", "one"), ("valid", "perhaps"), ("started_at", "noon"), ("drift", "x"), ("trial", "")],
)
def test_a_cell_that_cannot_be_read_is_named(column: str, text: str) -> None:
    row = {name: "" if cell is None else str(cell) for name, cell in make_measurement().row().items()}
    with pytest.raises(SchemaMismatch, match=column):
        Measurement.from_row(row | {column: text})


def test_times_keep_their_zone() -> None:
    assert make_measurement().row()["started_at"] == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_column_that_is_not_given_and_not_required_is_blank() -> None:
    outcome = TrialOutcome(requests=0, succeeded=0, failed=0, dropped=0)
    assert outcome.throughput_rps is None


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({"requests": 1, "succeeded": 1}, None),
        ({"requests": 3, "failed": 3, "failures": "refused=2 reset=1"}, "refused ×2, reset ×1"),
        ({"dropped": 5}, "no request was sent"),
        ({}, "none began in the window, so measure longer"),
    ],
)
def test_why_nothing_succeeded_is_said(counts: dict[str, Any], said: str | None) -> None:
    outcome = TrialOutcome(**{"requests": 0, "succeeded": 0, "failed": 0, "dropped": 0, **counts})
    assert outcome.nothing_succeeded == (said and f"nothing succeeded: {said}")
