"""What may be tried again, and how often."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.retries import RetryBudget, RetryDecision, RetryRules, after_failure, after_status
from services.wire.errors import BrokenAnswer, FailureKind, NoAnswer, NotConnected, NotSent, WireError

IDEMPOTENT = RetryRules(idempotent=True)
ONCE_ONLY = RetryRules(idempotent=False)

not_connected = NotConnected(FailureKind.REFUSED, "h:1")
not_sent = NotSent(FailureKind.CLOSED_EARLY, "h:1")
no_answer = NoAnswer(FailureKind.RESET, "h:1")
broken = BrokenAnswer(FailureKind.SHORT_BODY, "h:1")
no_http = BrokenAnswer(FailureKind.PROTOCOL_ERROR, "h:1")


def empty() -> RetryBudget:
    return RetryBudget(0.0, ratio=0.0, per_second=0.0)


@pytest.mark.parametrize(
    ("error", "rules", "replayable", "expected"),
    [
        (not_connected, IDEMPOTENT, True, RetryDecision.RETRY),
        (not_connected, ONCE_ONLY, True, RetryDecision.RETRY),
        (not_connected, ONCE_ONLY, False, RetryDecision.NOT_REPLAYABLE),
        (not_sent, ONCE_ONLY, True, RetryDecision.RETRY),
        (no_answer, IDEMPOTENT, True, RetryDecision.RETRY),
        (no_answer, ONCE_ONLY, True, RetryDecision.NOT_IDEMPOTENT),
        (no_answer, IDEMPOTENT, False, RetryDecision.NOT_REPLAYABLE),
        (broken, IDEMPOTENT, True, RetryDecision.RETRY),
        (broken, ONCE_ONLY, True, RetryDecision.NOT_IDEMPOTENT),
        (no_http, IDEMPOTENT, True, RetryDecision.BROKEN_ANSWER),
    ],
)
def test_what_was_seen_elsewhere_decides_what_may_be_retried(
    error: WireError, rules: RetryRules, replayable: bool, expected: RetryDecision
) -> None:
    assert after_failure(error, rules, RetryBudget(0.0), 0.0, replayable=replayable) is expected


@pytest.mark.parametrize("error", [not_connected, not_sent])
def test_where_nothing_was_sent_no_budget_is_needed_and_none_spent(error: WireError) -> None:
    assert after_failure(error, ONCE_ONLY, empty(), 0.0, replayable=True) is RetryDecision.RETRY
    budget = RetryBudget(0.0)
    for _ in range(100):
        after_failure(error, IDEMPOTENT, budget, 0.0, replayable=True)
    assert budget.balance(0.0) == 10.0


def test_what_was_sent_is_retried_only_within_the_budget() -> None:
    budget = RetryBudget(0.0)
    verdicts = [after_failure(no_answer, IDEMPOTENT, budget, 0.0, replayable=True) for _ in range(12)]
    assert verdicts == [RetryDecision.RETRY] * 10 + [RetryDecision.NO_BUDGET] * 2


@pytest.mark.parametrize("error", [no_answer, broken])
def test_what_may_not_be_retried_costs_nothing(error: WireError) -> None:
    budget = RetryBudget(0.0)
    after_failure(error, ONCE_ONLY, budget, 0.0, replayable=True)
    assert budget.balance(0.0) == 10.0


def test_a_status_passes_through_unless_the_route_opts_in() -> None:
    budget = RetryBudget(0.0)
    opted_in = RetryRules(idempotent=True, statuses=frozenset({503}))
    assert after_status(503, IDEMPOTENT, budget, 0.0, replayable=True) is None
    assert after_status(500, opted_in, budget, 0.0, replayable=True) is None
    assert after_status(503, opted_in, budget, 0.0, replayable=True) is RetryDecision.RETRY
    assert after_status(503, opted_in, budget, 0.0, replayable=False) is RetryDecision.NOT_REPLAYABLE
    assert after_status(503, RetryRules(False, frozenset({503})), budget, 0.0, replayable=True) is (
        RetryDecision.NOT_IDEMPOTENT
    )
    assert after_status(503, opted_in, empty(), 0.0, replayable=True) is RetryDecision.NO_BUDGET


steps = st.lists(
    st.tuples(st.sampled_from(["request", "retry", "wait"]), st.floats(0.0, 3.0), st.integers(1, 50)),
    max_size=80,
)


@given(steps, st.floats(0.0, 1.0), st.floats(0.0, 20.0))
def test_the_budget_is_never_exceeded(
    steps: list[tuple[str, float, int]], ratio: float, per_second: float
) -> None:
    """In every stretch: at most the balance at its start, and what its requests and seconds add."""
    budget = RetryBudget(100.0, ratio, per_second)
    now, requests = 100.0, 0
    history = [(now, 0, 0, budget.balance(now))]
    retries = 0
    for what, seconds, times in steps:
        now += seconds
        for _ in range(times):
            if what == "request":
                budget.requests += 1
                requests += 1
            elif what == "retry":
                retries += budget.spend(now)
        for then, earlier_requests, earlier_retries, balance in history:
            allowed = balance + ratio * (requests - earlier_requests) + per_second * (now - then)
            assert retries - earlier_retries <= allowed + 1e-6
        history.append((now, requests, retries, budget.balance(now)))
        assert budget.balance(now) >= 0


def test_a_steady_state_allows_a_fifth_of_the_requests_and_ten_a_second() -> None:
    budget = RetryBudget(0.0)
    spent = 0
    for n in range(100_000):  # 1,000 requests a second for 100 s, each of them in want of a retry
        budget.requests += 1
        spent += budget.spend(n / 1000)
    assert spent == pytest.approx(0.2 * 100_000 + 10 * 100, rel=0.005)


def test_what_is_not_spent_fades() -> None:
    budget = RetryBudget(0.0, ratio=0.2, per_second=10.0, window_s=10.0)
    for _ in range(100_000):
        budget.requests += 1
    busy = budget.balance(0.0)
    assert busy == pytest.approx(20_010)
    assert budget.balance(10.0) == pytest.approx(busy / math.e + 100 * (1 - 1 / math.e))
    assert budget.balance(1000.0) == pytest.approx(100.0)


def test_a_clock_that_stands_still_gives_nothing() -> None:
    budget = RetryBudget(5.0)
    assert budget.balance(5.0) == budget.balance(4.0) == budget.balance(5.0) == 10.0


@pytest.mark.parametrize("wrong", [{"ratio": -0.1}, {"per_second": -1.0}, {"window_s": 0.0}])
def test_a_budget_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="retry budget"):
        RetryBudget(0.0, **wrong)
