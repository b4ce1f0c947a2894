"""What each notebook measures: its parameters checked, all of its plans made, and nothing started.

A function here takes the parameters of one notebook, with their types. The notebook calls it in the cell
after its parameters; without JupyterLab `lab.notebook.parameters` calls it before any cell runs. The
notebooks 02 to 05 have their plans from `lab.sweep`, `lab.policy_comparison` and `lab.faults`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from lab.compare import Metric
from lab.errors import BadParameter
from lab.faults import FaultPlan, plan_faults
from lab.results.folder import baseline, newest, result_path
from lab.sweep import Plan, plan_sweep
from lab.theory.model import require_number
from services.names import ProtocolName

__all__ = ["Plans", "balancers", "clients", "comparison", "cores", "protocols", "quickstart"]

Texts = str | Sequence[str]
Wholes = int | Sequence[int]


class Plans:
    """Several plans of one notebook. A notebook shows each in a line of its own."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n\n".join(f"- {each.name}: {getattr(self, each.name)}" for each in fields(self))  # type: ignore[arg-type]

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class BalancerPlans(Plans):
    """Balancers flat out, and behind each of them an instance that dies."""

    flat_out: Plan
    deaths: FaultPlan


@dataclass(frozen=True, slots=True)
class ClientPlans(Plans):
    """Clients where the documents are judged, and flat out."""

    documented: Plan
    flat_out: Plan


@dataclass(frozen=True, slots=True)
class ProtocolPlans(Plans):
    """Protocols alone, in the sequential topology, and as whole stacks in the parallel one."""

    alone: Plan
    stacks: Plan
    payload_bytes: tuple[int, ...]
    port_offset: int


@dataclass(frozen=True, slots=True)
class ComparisonPlan(Plans):
    """Two results to compare, A the older one."""

    a: Path
    b: Path
    metric: Metric
    threshold: float


def quickstart(
    *, concurrency: Wholes, work_ms: str | float, trials: int, port_offset: int, folder: str
) -> Plan:
    """Plan the sweep of notebook 01. Raises what `plan_sweep` raises."""
    return plan_sweep(
        "quickstart",
        concurrency=concurrency,
        work_ms=work_ms,
        trials=trials,
        port_offset=port_offset,
        folder=folder,
    )


def balancers(
    *,
    balancers: Texts,
    concurrency: Wholes,
    policy: str,
    client: str,
    replicas: int,
    trials: int,
    fault: str,
    rate: float,
    port_offset: int,
    folder: str,
) -> BalancerPlans:
    """Plan what notebook 06 measures: services that do nothing but the text, each server a process.

    Raises what `plan_sweep` and `plan_faults` raise.
    """
    flat_out = plan_sweep(
        "quickstart",
        placement="processes",
        work="text",
        balancer=balancers,
        concurrency=concurrency,
        policy=policy,
        client=client,
        replicas=replicas,
        trials=trials,
        port_offset=port_offset,
        folder=folder,
    )
    deaths = plan_faults(
        fault,
        rate=rate,
        balancers=balancers,
        policy=policy,
        client=client,
        replicas=replicas,
        placement="processes",
        port_offset=port_offset,
    )
    return BalancerPlans(flat_out, deaths)


def clients(
    *,
    documented: Texts,
    concurrency: Wholes,
    compared: Texts,
    flat_out: int,
    trials: int,
    port_offset: int,
    folder: str,
) -> ClientPlans:
    """Plan what notebook 07 measures: services that do nothing but the text. Raises as `plan_sweep` does."""

    def planned(client: Texts, in_flight: Wholes) -> Plan:
        return plan_sweep(
            "quickstart",
            work="text",
            client=client,
            concurrency=in_flight,
            trials=trials,
            port_offset=port_offset,
            folder=folder,
        )

    return ClientPlans(planned(documented, concurrency), planned(compared, flat_out))


def protocols(
    *,
    clients: Texts,
    payload_bytes: Wholes,
    concurrency: int,
    duration_s: float,
    trials: int,
    placement: str,
    port_offset: int,
    folder: str,
) -> ProtocolPlans:
    """Plan what notebook 08 measures: the same text over HTTP and gRPC. Raises as `plan_sweep` does."""

    def planned(topology: str) -> Plan:
        return plan_sweep(
            "quickstart",
            topology=topology,
            protocol=list(ProtocolName),
            client=clients,
            work="text",
            payload_bytes=payload_bytes,
            concurrency=concurrency,
            duration_s=duration_s,
            placement=placement,
            trials=trials,
            port_offset=port_offset,
            folder=folder,
        )

    alone = planned("sequential")
    lengths = tuple(int(each) for each in alone.grid.levels["payload_bytes"])
    return ProtocolPlans(alone, planned("parallel"), lengths, alone.port_offset)


def comparison(*, a: str | None, b: str | None, metric: str, threshold: float) -> ComparisonPlan:
    """Find the results that notebook 09 compares: by name, or the baseline and the newest other one.

    Raises BadParameter for what is no name, metric or threshold, ResultsError where there is no such result.
    """
    for name, value in (("a", a), ("b", b)):
        if not isinstance(value, str | None):
            raise BadParameter(f'{name} cannot be {value!r}: it takes a name in quotes, as "baseline-me"')
    if metric not in list(Metric):
        raise BadParameter(f"metric cannot be {metric!r}: it takes {' or '.join(Metric)}")
    require_number("threshold", threshold, "a share, as 0.05")
    path_a = result_path(a) if a else baseline()
    return ComparisonPlan(path_a, result_path(b) if b else newest(but=path_a), Metric(metric), threshold)


def cores(
    *,
    work_ms: Sequence[str | float] | str | float,
    concurrency: Wholes,
    client: Texts,
    trials: int,
    duration_s: float,
    warmup_s: float,
    port_offset: int,
    folder: str,
) -> Plan:
    """Plan the sweep of notebook 10: CPU work and the text alone, each server a process.

    Raises what `plan_sweep` raises.
    """
    return plan_sweep(
        "quickstart",
        placement="processes",
        work=["cpu", "text"],
        work_ms=work_ms,
        concurrency=concurrency,
        client=client,
        trials=trials,
        duration_s=duration_s,
        warmup_s=warmup_s,
        port_offset=port_offset,
        folder=folder,
    )
