"""The command `lab up`: start a topology and keep it up, here or in the background."""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import Annotated

import typer

from lab.cli.options import MOST_USERS, Offset
from lab.cli.topology_options import REPLICAS, TopologyOptions, is_file, read_topology
from lab.errors import BadParameter
from lab.measure.times import read_seconds
from lab.names import BalancerName, PlacementName, TopologyName
from services.balancer.settings import PolicyName
from services.names import ClientName, Distribution, ProtocolName, WorkKind

__all__ = ["up"]


class Placement(StrEnum):
    """The placements that `lab up` can start: all but `remote`."""

    IN_PROCESS = PlacementName.IN_PROCESS
    PROCESSES = PlacementName.PROCESSES


def up(
    topology: Annotated[str, typer.Argument(help="sequential, parallel, or a pipeline file (shop.yml).")],
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Leave it running until `lab down`.")
    ] = False,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="Instances of each service (parallel only): 4.")
    ] = None,
    policy: Annotated[PolicyName, typer.Option(help="How balancers choose.")] = PolicyName.ROUND_ROBIN,
    client: Annotated[ClientName, typer.Option(help="What services call each other with.")] = ClientName.WIRE,
    work: Annotated[WorkKind, typer.Option(help="How service time is spent.")] = WorkKind.IO,
    work_ms: Annotated[str, typer.Option(help="Mean service time in ms, for all or each: 0,0,40,0.")] = "40",
    work_distribution: Annotated[
        Distribution, typer.Option(help="How it is spread.")
    ] = Distribution.CONSTANT,
    slots: Annotated[
        int, typer.Option(min=1, max=MOST_USERS, help="Requests an instance works on at once.")
    ] = 1,
    seed: Annotated[int, typer.Option(help="Seed of service times and of policies' draws.")] = 0,
    placement: Annotated[
        Placement | None, typer.Option(help="Where servers run: in-process; those of a file in processes.")
    ] = None,
    balancer: Annotated[BalancerName, typer.Option(help="Whose balancers.")] = BalancerName.BUILTIN,
    protocol: Annotated[
        ProtocolName, typer.Option(help="What clients and services speak.")
    ] = ProtocolName.HTTP,
    tuning: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of the balancers: retry_ratio=0. Repeatable."),
    ] = None,
    offset: Offset = 0,
) -> None:
    """Start a topology. It stays up until Ctrl-C, or in the background until `lab down`."""
    means_ms = _means_ms(work_ms)
    from lab.cli.keeper import keep, keep_in_background
    from lab.measure.factors import read_tuning
    from lab.placement import require_tunable

    topology = read_topology(topology)
    if topology == TopologyName.SEQUENTIAL and replicas is not None:
        raise BadParameter("--replicas is for parallel: sequential has one instance of each service")
    options = TopologyOptions(
        topology=topology,
        replicas=replicas or REPLICAS,
        policy=policy,
        client=client,
        work=work,
        work_ms=means_ms,
        work_distribution=work_distribution,
        slots=slots,
        seed=seed,
        offset=offset,
        placement=PlacementName(placement or _placement_of(topology)),
        balancer=balancer,
        protocol=protocol,
        tuning=str(read_tuning(" ".join(tuning or ()))),
    )
    # What makes no topology should be said before anything is started.
    require_tunable(options.build(), options.placement, options.balancer)
    if detach:
        keep_in_background(options)
    else:
        for ending in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(ending, signal.default_int_handler)
        keep(options)


def _placement_of(topology: str) -> Placement:
    return Placement.PROCESSES if is_file(topology) else Placement.IN_PROCESS


def _means_ms(text: str) -> tuple[float, ...]:
    return tuple(round(read_seconds("--work-ms", part, bare="ms") * 1000, 9) for part in text.split(","))
