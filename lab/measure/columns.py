"""The columns of a row, in the order of the contract: one dataclass per group, each column with its meaning.

A blank cell is None: it does not apply, or it must not be said. The Table Schema is generated from here.

A sidecar carries the `schema_version` of its CSV; one that names none is version 1. Columns are only ever
added: whatever has the required columns is read for ever. To add a column, append it to its group with
`since` one above the newest version, and add the version to `SCHEMA_HISTORY`; nothing else has to know. A
factor of version 1 enters the hash of a cell's id blank or not, a later one only where it is not blank, so
that no old id changes.
"""

# ruff: noqa: RUF009 (each call returns a fresh field, which is what a dataclass wants)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lab.expectations import Verdict
from lab.measure.disturbance import TOLERANCE, DisturbanceSource
from lab.measure.validity import THRESHOLD

__all__ = [
    "SCHEMA_HISTORY",
    "SCHEMA_VERSION",
    "Against",
    "Factors",
    "TimeSpent",
    "TrialHealth",
    "TrialOutcome",
    "What",
]

SCHEMA_HISTORY: Mapping[int, str] = {
    1: "The columns from sweep_id to predicted_response_time_ms; sidecars name no version.",
    2: "What others did to the numbers: others_cpu_cores disturbance_ms disturbance_share disturbed_by; a "
    "number that may have moved by more than 5 % is blank, throughput too, and machine_busy is a reason.",
    3: "What balancers were tuned to: tuning.",
}
"""What each version of the format added."""
SCHEMA_VERSION = max(SCHEMA_HISTORY)


def _column(description: str, *, required: bool = False, since: int = 1, **constraints: Any) -> Any:
    """Return a field with its description, its first version and its Table Schema constraints.

    An optional column is blank by default. Raises ValueError for a later column that is required: older files
    lack it, and they are to be read.
    """
    if since not in SCHEMA_HISTORY or (required and since > 1):
        raise ValueError(f"a column of version {since} is optional, and the version is in SCHEMA_HISTORY")
    metadata = {"description": description, "since": since, "constraints": constraints}
    return field(metadata=metadata) if required else field(default=None, metadata=metadata)


def _amount(description: str, *, required: bool = False, since: int = 1) -> Any:
    """Return a column that holds no negative number."""
    return _column(description, required=required, since=since, minimum=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """The columns that say which trial a row is."""

    sweep_id: str = _column("The sweep it belongs to: the stem of its CSV's name.", required=True)
    cell_id: str = _column(
        "The combination of factors it belongs to: equal in every trial of it.", required=True
    )
    trial: int = _column("Which repetition of the cell, from 1.", required=True, minimum=1)
    started_at: datetime = _column("When the load began, in UTC.", required=True)
    schedule_hash: str | None = _column(
        "Hash of the schedule of intended starts; blank in a closed loop without one."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Factors:
    """The columns that say what was set; blank where a factor does not apply.

    All that concerns servers is blank where the lab did not start them.
    """

    topology: str | None = _column("sequential, parallel, or the name of another topology or target.")
    replicas: int | None = _column("Instances of the service that has most of them.", minimum=1)
    policy: str | None = _column("How a balancer chooses the instance; blank without a balancer.")
    balancer: str | None = _column("What balances: builtin, or the program; blank without a balancer.")
    protocol: str | None = _column("What clients and services speak: http, grpc.")
    placement: str | None = _column("How the topology comes alive: in-process, processes, remote.")
    client: str | None = _column("What a service calls the next hop with.")
    work: str | None = _column("How a service spends a request's service time: io, cpu, or text alone.")
    work_ms: str | None = _column(
        "Mean service time in ms of every service, or of each, separated by commas.",
        pattern=r"\d+(\.\d+)?(,\d+(\.\d+)?)*",
    )
    work_distribution: str | None = _column("How service times are spread around their mean.")
    slots: int | None = _column("How many requests an instance works on at once.", minimum=1)
    corpus: str | None = _column("Where the text comes from.")
    payload_bytes: int | None = _amount("Length of the text of a request, in bytes.")
    load_model: str = _column("How requests arrive: closed, constant, poisson, ramp, steps.", required=True)
    concurrency: int | None = _column(
        "Requests kept in flight in a closed loop; blank in an open one.", minimum=1
    )
    think_time_ms: float | None = _amount(
        "Pause in ms between an answer and the next request in a closed loop."
    )
    requested_rate: float | None = _amount("Arrivals a second that were asked for; blank in a closed loop.")
    seed: int | None = _column("What made the schedule and the service times.")
    duration_s: float = _column("Length of the measurement window in s.", required=True, minimum=0)
    warmup_s: float | None = _amount("What was cut off before the window in fact, in s.")
    warmup_mode: str | None = _column("How that cut was found: fixed, or found automatically.")
    tuning: str | None = _column(
        "Settings of the balancers that differ from their defaults, in order of name, as name=value "
        "separated by spaces; blank for none, and without a balancer.",
        since=3,
        pattern=r"[a-z0-9_]+=\S+( [a-z0-9_]+=\S+)*",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """The columns that say what became of the requests intended to start in the measurement window."""

    requests: int = _amount("Requests sent: succeeded and failed.", required=True)
    succeeded: int = _amount("Requests answered with the status of success.", required=True)
    failed: int = _amount("Requests that failed, in whatever way.", required=True)
    failures: str | None = _column(
        "The failed by class, most frequent first, as class=count separated by spaces.",
        pattern=r"[a-z0-9_]+=\d+( [a-z0-9_]+=\d+)*",
    )
    dropped: int = _amount(
        "Requests that were due and could not be sent by the end of the window.", required=True
    )
    achieved_rate: float | None = _amount("Requests a second that were really sent.")
    throughput_rps: float | None = _amount(
        "Successful answers a second, between the first and the last completion in the window."
    )
    response_time_mean_ms: float | None = _amount("Mean time from intended start to complete answer, in ms.")
    response_time_p50_ms: float | None = _amount("Its median, in ms.")
    response_time_p90_ms: float | None = _amount("Its 90th percentile, in ms; blank below 64 answers.")
    response_time_p95_ms: float | None = _amount("Its 95th percentile, in ms; blank below 130 answers.")
    response_time_p99_ms: float | None = _amount("Its 99th percentile, in ms; blank below 662 answers.")
    response_time_p99_9_ms: float | None = _amount("Its 99.9th percentile, in ms; blank below 6,636 answers.")
    response_time_max_ms: float | None = _amount("The longest, in ms.")
    service_time_p50_ms: float | None = _amount("Median time from actual send to complete answer, in ms.")
    service_time_p99_ms: float | None = _amount("Its 99th percentile, in ms; blank below 662 answers.")
    in_flight_mean: float | None = _amount("Requests sent and not yet answered, on average over the window.")

    @property
    def nothing_succeeded(self) -> str | None:
        """A sentence that says why nothing succeeded; None where something did."""
        if self.succeeded:
            return None
        classes = ", ".join(each.replace("=", " ×") for each in (self.failures or "").split())
        unsent = "no request was sent" if self.dropped else "none began in the window, so measure longer"
        return f"nothing succeeded: {classes or unsent}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSpent:
    """The columns that say where a request's time went on average, as services report it in Server-Timing."""

    service1_queue_ms: float | None = _amount("Mean wait for a slot of service1, in ms.")
    service2_queue_ms: float | None = _amount("Mean wait for a slot of service2, in ms.")
    service3_queue_ms: float | None = _amount("Mean wait for a slot of service3, in ms.")
    service4_queue_ms: float | None = _amount("Mean wait for a slot of service4, in ms.")
    service1_work_ms: float | None = _amount("Mean time in a slot of service1, in ms.")
    service2_work_ms: float | None = _amount("Mean time in a slot of service2, in ms.")
    service3_work_ms: float | None = _amount("Mean time in a slot of service3, in ms.")
    service4_work_ms: float | None = _amount("Mean time in a slot of service4, in ms.")
    overhead_ms: float | None = _column(
        "Mean service_time less all queues and work, in ms: hops, clients, balancers."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialHealth:
    """The columns that say whether the figures can be trusted, and what they cost."""

    schedule_lag_p99_ms: float | None = _amount(
        "How late the pacer was, 99th percentile in ms; blank where nothing is scheduled."
    )
    generator_cpu_cores: float | None = _amount("CPU that the busiest generator process used, in cores.")
    servers_cpu_cores: float | None = _amount(
        "CPU that the servers used, in cores; in-process with their balancers."
    )
    balancers_cpu_cores: float | None = _amount(
        "CPU that the balancers used, in cores; blank where not apart."
    )
    servers_rss_mb: float | None = _amount("Resident memory of the servers in MB.")
    retries: int | None = _amount(
        "An upper bound of the retries: attempts at instances that failed, by the balancers' count from "
        "start to end, warm-up included, of which not all were tried again. Blank without balancers."
    )
    drift: float | None = _column(
        "Relative change of the response time from the first to the last third of the window."
    )
    littles_law_residual: float | None = _amount(
        "|N − X·R| / N, from mean in flight, throughput and mean service_time."
    )
    valid: bool = _column("Whether the row can be believed: what it prints, it vouches for.", required=True)
    invalid_reason: str | None = _column(
        "Why not: the reasons, separated by spaces. "
        + "; ".join(f"{reason}: {limit}" for reason, limit in THRESHOLD.items())
        + ".",
        pattern=r"[a-z_]+( [a-z_]+)*",
    )
    others_cpu_cores: float | None = _amount(
        "CPU that programs outside the trial used, in cores; blank where the system does not tell.", since=2
    )
    disturbance_ms: float | None = _amount(
        "What others, or the generator's own CPU, may have added to the mean response time, in ms.", since=2
    )
    disturbance_share: float | None = _amount(
        "The largest share by which that may have moved any number of the row, blanked ones too. A number "
        f"that may have moved by more than {TOLERANCE:g} is blank.",
        since=2,
    )
    disturbed_by: str | None = _column(
        "Where that came from: generator, others; blank where nothing moved by more than 1 %.",
        since=2,
        pattern="|".join(DisturbanceSource),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """The columns that hold the documents and the theory against a row."""

    expected_throughput_low_rps: float | None = _amount("Low edge of the documented throughput.")
    expected_throughput_high_rps: float | None = _amount(
        "High edge of it; the documents add a plus for parallel."
    )
    expected_response_time_low_ms: float | None = _amount("Low edge of the documented latency.")
    expected_response_time_high_ms: float | None = _amount("High edge of it.")
    verdict_throughput: Verdict | None = _column("This trial's throughput against the documented.")
    verdict_latency: Verdict | None = _column("This trial's median response_time against the documented.")
    predicted_throughput_rps: float | None = _amount("What theory predicts for the factors.")
    predicted_response_time_ms: float | None = _amount(
        "The mean that theory predicts for the factors, in ms."
    )
