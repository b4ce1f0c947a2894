"""Measurements made up for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from lab.measure.columns import Factors, TrialHealth, TrialOutcome, What
from lab.measure.measurement import Measurement


def make_measurement(
    cell_id: str = "sequential-c1",
    trial: int = 1,
    *,
    throughput_rps: float = 6.25,
    p50_ms: float = 160.0,
    valid: bool = True,
    topology: str = "sequential",
) -> Measurement:
    """Make a valid measurement of a cell and trial; the rest has plain defaults."""
    return Measurement(
        what=What(
            sweep_id="mine",
            cell_id=cell_id,
            trial=trial,
            started_at=datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC),
        ),
        factors=Factors(topology=topology, load_model="closed", concurrency=1, duration_s=10.0),
        outcome=TrialOutcome(
            requests=62,
            succeeded=60,
            failed=2,
            failures="refused=2",
            dropped=0,
            throughput_rps=throughput_rps,
            response_time_mean_ms=p50_ms,
            response_time_p50_ms=p50_ms,
            service_time_p50_ms=p50_ms,
        ),
        health=TrialHealth(
            valid=valid, invalid_reason=None if valid else "not_steady", schedule_lag_p99_ms=0.25
        ),
    )
