"""What theory predicts of a topology under one load, where there is an answer in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lab.arrivals import Closed, Poisson
from lab.theory.bounds import (
    capacity,
    response_time_bound,
    stations_of,
    throughput_bound,
    total_demand,
)
from lab.theory.product_form import closed_response_time, closed_throughput, open_response_time
from lab.theory.queues import md1_mean_response_time
from lab.topology import Topology
from services.names import Distribution, PolicyName, WorkKind

__all__ = ["Prediction", "predict_closed", "predict_constant", "predict_poisson", "why_not_exact"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Requests a second and the mean response time in seconds, each None where no formula is known."""

    throughput_rps: float | None = None
    response_time_s: float | None = None


def predict_closed(topology: Topology, concurrency: int, think_time_s: float = 0.0) -> Prediction:
    """Predict a closed loop.

    Constant work gives the asymptotic bounds, which a pipeline of constant servers attains as long as its
    policy sends no two requests to one instance while another is idle. Exponential work gives the exact
    product form for instances chosen at random; taking turns does better. Other work gives no prediction.
    """
    stations = stations_of(topology)
    match _distribution(topology):
        case Distribution.CONSTANT:
            return Prediction(
                throughput_bound(stations, concurrency, think_time_s),
                response_time_bound(stations, concurrency, think_time_s),
            )
        case Distribution.EXPONENTIAL:
            return Prediction(
                closed_throughput(stations, concurrency, think_time_s),
                closed_response_time(stations, concurrency, think_time_s),
            )
    return Prediction()


def predict_poisson(topology: Topology, arrival_rate: float) -> Prediction:
    """Predict Poisson arrivals.

    The throughput is the lesser of rate and capacity. The response time of exponential work follows from
    Jackson's theorem. Constant work in a chain of single instances with one slot each waits as in M/D/1 at
    the slowest instance, and nowhere else (H. D. Friedman, Reduction methods for tandem queuing systems,
    1965). At or beyond capacity the response time has no mean.
    """
    stations = stations_of(topology)
    distribution = _distribution(topology)
    if distribution is None:
        return Prediction()
    if arrival_rate >= capacity(stations):
        return Prediction(capacity(stations))
    if distribution is Distribution.EXPONENTIAL:
        return Prediction(arrival_rate, open_response_time(stations, arrival_rate))
    if topology.replicas == 1 and all(station.servers == 1 for station in stations):
        slowest = 1 / capacity(stations)
        wait = md1_mean_response_time(arrival_rate, slowest) - slowest
        return Prediction(arrival_rate, total_demand(stations) + wait)
    return Prediction(arrival_rate)


def predict_constant(topology: Topology, arrival_rate: float) -> Prediction:
    """Predict evenly spaced arrivals: with constant work below capacity nothing ever queues."""
    stations = stations_of(topology)
    distribution = _distribution(topology)
    if distribution is None:
        return Prediction()
    if arrival_rate >= capacity(stations):
        return Prediction(capacity(stations))
    steady = distribution is Distribution.CONSTANT
    return Prediction(arrival_rate, total_demand(stations) if steady else None)


def why_not_exact(topology: Topology, load: Closed | Poisson) -> str | None:
    """Say why a prediction of that load is no exact one, or there is none; None where it is exact."""
    distribution = _distribution(topology)
    if not total_demand(stations_of(topology)):
        return "the services take no time of their own"
    if distribution is None:
        return _unknown(topology)
    many = {
        str(service.balancer.policy)
        for service in topology.services
        if service.balancer and len(service.instances) > 1 and service.work.mean_s > 0
    }
    if distribution is Distribution.EXPONENTIAL:
        better = ", ".join(sorted(many - {PolicyName.RANDOM}))
        reason = "the formula for exponential work is for instances chosen at random, and there"
        return f"{reason} {better} does otherwise" if better else None
    if isinstance(load, Poisson):
        chain = topology.replicas == 1 and all(station.servers == 1 for station in stations_of(topology))
        return None if chain else "no formula is known for constant work at several instances or slots"
    idle = ", ".join(sorted(many & _LEAVE_IDLE))
    return (
        f"{idle} lets a request wait while another instance is idle, which no formula knows" if idle else None
    )


_LEAVE_IDLE = {PolicyName.RANDOM, PolicyName.POWER_OF_TWO, PolicyName.PEAK_EWMA}


def _unknown(topology: Topology) -> str:
    """Say why the formulas do not cover the work of a topology."""
    works = [service.work for service in topology.services if service.work.mean_s > 0]
    if any(work.kind is not WorkKind.IO for work in works):
        return "work that computes shares the cores, which no formula here knows"
    kinds = " and ".join(sorted({str(work.distribution) for work in works}))
    return f"no formula is known for {kinds} service times"


def _distribution(topology: Topology) -> Distribution | None:
    """Find the one distribution of all services that take time; None if the formulas do not cover them."""
    works = [service.work for service in topology.services if service.work.mean_s > 0]
    if any(work.kind is not WorkKind.IO for work in works):
        return None  # burnt CPU shares cores, which no formula here knows
    found = _only(work.distribution for work in works)
    return found if found in (Distribution.CONSTANT, Distribution.EXPONENTIAL) else None


def _only(distributions: Iterable[Distribution]) -> Distribution | None:
    found = set(distributions)
    return found.pop() if len(found) == 1 else None
