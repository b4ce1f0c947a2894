"""The counts as Prometheus wants them, made when it asks: a counter touched per request would cost more."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from services.balancer.balancer import Core
from services.balancer.counters import DURATION_BUCKETS_S
from services.balancer.health import State

__all__ = ["Metrics"]


class Metrics:
    """A collector over one balancer's counts. Label values are the service's name and instances' labels."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, core: Core) -> None:
        self._core = core
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """The answer to GET /metrics."""
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """What prometheus-client calls."""
        yield self._requests()
        yield self._attempts()
        yield self._by_reason(
            "balancer_retries", "Requests that went to another instance.", self._core.counts.retries
        )
        yield self._by_reason(
            "balancer_denials", "Requests that might have, and did not.", self._core.counts.denials
        )
        yield self._durations()
        yield from self._instances()
        queue = GaugeMetricFamily("balancer_queue_length", "Requests that wait for room.", labels=["service"])
        queue.add_metric([self._service], len(self._core.line))
        yield queue

    @property
    def _service(self) -> str:
        return self._core.settings.service

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "balancer_requests",
            "Requests answered, by the instance that did (none: the balancer). 499: the client went away.",
            labels=["service", "instance", "code"],
        )
        for (label, code), number in self._core.counts.answers.items():
            family.add_metric([self._service, label, str(code)], number)
        return family

    def _attempts(self) -> Metric:
        family = CounterMetricFamily(
            "balancer_attempts",
            "Attempts at instances that have ended, by how they did.",
            labels=["service", "instance", "result"],
        )
        counts = self._core.counts
        for label, number in counts.answered_attempts(self._core.roster).items():
            family.add_metric([self._service, label, "answered"], number)
            family.add_metric([self._service, label, "abandoned"], counts.released[label])
        for (label, kind), number in counts.failures.items():
            family.add_metric([self._service, label, str(kind)], number)
        return family

    def _by_reason(self, name: str, text: str, numbers: dict[str, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=["service", "reason"])
        for reason, number in numbers.items():
            family.add_metric([self._service, str(reason)], number)
        return family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "balancer_request_duration_seconds",
            "From a request that has come, a short body with it, to the end of its answer.",
            labels=["service"],
        )
        counts = self._core.counts
        bounds = [*(str(bound) for bound in DURATION_BUCKETS_S), "+Inf"]
        buckets = list(zip(bounds, accumulate(counts.timings), strict=True))
        family.add_metric([self._service], buckets, counts.seconds)
        return family

    def _instances(self) -> Iterator[Metric]:
        labels = ["service", "instance"]
        up = GaugeMetricFamily("balancer_instance_up", "1 if requests go there, else 0.", labels=labels)
        flight = GaugeMetricFamily("balancer_in_flight", "Attempts begun and not ended.", labels=labels)
        ejections = CounterMetricFamily("balancer_ejections", "Times it was ejected.", labels=labels)
        for instance in self._core.roster:
            names = [self._service, instance.label]
            up.add_metric(names, float(self._core.roster.state(instance) is State.SERVING))
            flight.add_metric(names, instance.in_flight)
            ejections.add_metric(names, self._core.counts.ejections[instance.label])
        yield from (up, flight, ejections)
