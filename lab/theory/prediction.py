"""What theory predicts of a topology under one load, where there is an answer in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
from services.names import Distribution, WorkKind

__all__ = ["Prediction", "predict_closed", "predict_constant", "predict_poisson"]


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
