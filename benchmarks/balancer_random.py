"""Send a hundred thousand requests while instances misbehave at random."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.backends import free_ports
from benchmarks.balancers import builtin
from benchmarks.flaky_instances import flaky_instances
from benchmarks.goals import GoalFigure, at_least, at_most, reference
from benchmarks.one_service import BODY, JSON
from lab.arrivals import Closed
from lab.load.outcomes import Outcome
from lab.load.result import LoadResult
from lab.load.run import run
from lab.load.spec import LoadSpec
from services.balancer.settings import BalancerSettings

__all__ = ["balancer_random"]

REQUESTS = 100_000
CONNECTIONS = 32
ROUND_S = 8.0
RETRY_RATIO = 0.01
"""So small that the budget decides."""
FREE = ("refused", "unreachable", "unresolved", "connect_timeout", "closed_early", "stale")
"""Retries that cost no budget: nothing was sent, or only over a kept connection that was being closed. No
instance here closes in place of an answer, so what closed early was closed before anything was sent on it."""


def balancer_random() -> Iterator[GoalFigure]:
    """Account for every request through resets, half answers, garbage, silence, errors and deaths."""
    with flaky_instances() as instances:
        settings = BalancerSettings(
            "service1", free_ports(1)[0], instances, timeout_s=0.3, backoff_s=0.1, retry_ratio=RETRY_RATIO
        )
        with builtin(settings):
            begun = time.monotonic()
            results: list[LoadResult] = []
            while sum(sum(result.totals.values()) for result in results) < REQUESTS:
                results.append(_loaded(settings.port))
                if len(results) > 60:
                    break
            took = time.monotonic() - begun
            metrics = _metrics(settings.port)
    totals: dict[str, int] = {}
    for result in results:
        for outcome, count in result.totals.items():
            totals[outcome] = totals.get(outcome, 0) + count
    sent = sum(totals.values())
    yield at_least("requests sent", sent, REQUESTS)
    unanswered = totals.get(Outcome.UNANSWERED, 0)
    yield at_most("without any outcome when all was over", unanswered, 0)
    answered = sum(metrics["balancer_requests"].values())
    yield at_most("requests that the balancer and the clients count differently", abs(answered - sent), 0)
    yield reference("succeeded", totals["http_200"] / sent * 100, "%")
    for outcome, count in sorted(totals.items(), key=lambda pair: -pair[1]):
        if outcome != "http_200":
            yield reference(outcome, count)
    retries = metrics["balancer_retries"]
    paid = sum(number for reason, number in retries.items() if reason not in FREE)
    allowed = settings.retry_per_s * (took + 1) + settings.retry_ratio * sent
    yield at_most("retries of what was sent, beside what the budget can have allowed", paid, allowed)
    yield reference(
        "requests not tried again for want of budget", metrics["balancer_denials"].get("no_budget", 0)
    )
    attempts = sum(metrics["balancer_in_flight"].values())
    yield at_most("attempts still in flight when all was over", attempts, 0)


def _loaded(port: int) -> LoadResult:
    spec = LoadSpec(
        url=f"http://127.0.0.1:{port}/process",
        load=Closed(CONNECTIONS),
        duration_s=ROUND_S,
        warmup_s=0.0,
        method="POST",
        headers=JSON,
        body=BODY,
        stages=False,
    )
    return run(spec)


def _metrics(port: int) -> dict[str, dict[str, float]]:
    """Return the values by the name of the family and the reason, if any; sum over all other labels."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        values = found.setdefault(family.name, {})
        for sample in family.samples:
            key = sample.labels.get("reason", "")
            if not sample.name.endswith("_created"):
                values[key] = values.get(key, 0.0) + sample.value
    return found
