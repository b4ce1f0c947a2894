"""What theory says of a pipeline: bounds, formulas that are exact, and a simulation where there is none.

Everything here is arithmetic: a `Topology` or plain numbers go in, seconds and requests a second come out.
Nothing takes a clock, opens a socket or starts a process.

1. `bounds` turns a topology into stations (`stations_of`), one for each instance, and bounds throughput and
   response time from their demands alone, whatever the distribution and the policy. Limits on charts and
   the knee are these.
2. `queues` holds formulas of single queues, Lindley's recursion, and what two policies make of the mean.
3. `product_form` computes whole networks of exponential servers from the stations of `bounds`: closed ones by
   convolution, open ones as the sum of their queues.
4. `prediction` picks the formula that fits a topology's work and a load (`predict_closed`, `predict_poisson`,
   `predict_constant`), or none; `lab.measure` puts that into the columns `predicted_…`.
5. `model` turns a topology into stages (`stages_of`), one for each service, for `simulator`, which sends
   requests through them event by event. Its instances are chosen by the very policy objects that the
   balancers run, so it serves where no formula is known: `lab.policy_comparison` compares it with
   measurements.

A station is one queue and its servers; a stage is one service: its instances, each a station, and the
policy that chooses among them.

    from lab.arrivals import Poisson
    from lab.theory import Stage, simulate

    simulate(Stage(instances=40, policy="power_of_two"), Poisson(32), requests=100_000, warmup=2_000).mean_s
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.theory.bounds import (
        Station,
        capacity,
        knee,
        response_time_bound,
        scaling_bound,
        stations_of,
        throughput_bound,
        total_demand,
    )
    from lab.theory.model import Stage, stages_of
    from lab.theory.prediction import Prediction, predict_closed, predict_constant, predict_poisson
    from lab.theory.product_form import closed_response_time, closed_throughput, open_response_time
    from lab.theory.queues import (
        md1_mean_response_time,
        mm1_mean_response_time,
        mmc_mean_response_time,
        power_of_two_mean_response_time,
        round_robin_mean_response_time,
    )
    from lab.theory.simulator import Simulated, simulate, sustained_rps

__all__ = [
    "Prediction",
    "Simulated",
    "Stage",
    "Station",
    "capacity",
    "closed_response_time",
    "closed_throughput",
    "knee",
    "md1_mean_response_time",
    "mm1_mean_response_time",
    "mmc_mean_response_time",
    "open_response_time",
    "power_of_two_mean_response_time",
    "predict_closed",
    "predict_constant",
    "predict_poisson",
    "response_time_bound",
    "round_robin_mean_response_time",
    "scaling_bound",
    "simulate",
    "stages_of",
    "stations_of",
    "sustained_rps",
    "throughput_bound",
    "total_demand",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.theory.bounds": (
            "Station",
            "capacity",
            "knee",
            "response_time_bound",
            "scaling_bound",
            "stations_of",
            "throughput_bound",
            "total_demand",
        ),
        "lab.theory.model": ("Stage", "stages_of"),
        "lab.theory.prediction": ("Prediction", "predict_closed", "predict_constant", "predict_poisson"),
        "lab.theory.product_form": ("closed_response_time", "closed_throughput", "open_response_time"),
        "lab.theory.queues": (
            "md1_mean_response_time",
            "mm1_mean_response_time",
            "mmc_mean_response_time",
            "power_of_two_mean_response_time",
            "round_robin_mean_response_time",
        ),
        "lab.theory.simulator": ("Simulated", "simulate", "sustained_rps"),
    },
)
