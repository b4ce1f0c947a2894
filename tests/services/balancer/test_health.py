"""Ejection, trials and checks of one instance."""

from __future__ import annotations

import pytest

from services.balancer.events import Event, EventKind
from services.balancer.health import FailureCause, Health, HealthRules, State, TransitionReason, cause_of
from services.balancer.instances import InstanceState
from services.wire.errors import BrokenAnswer, FailureKind, NoAnswer, NotConnected, NotSent

RULES = HealthRules(failures=5, backoff_s=1.0, backoff_cap_s=30.0, rise=2, fall=3)


@pytest.fixture
def health() -> Health:
    return Health(RULES)


@pytest.fixture
def instance() -> InstanceState:
    return InstanceState("service1a", "127.0.0.1", 8051)


def attempt(health: Health, instance: InstanceState, at: float, cause: FailureCause | None) -> Event | None:
    """Make an attempt that begins and ends at `at`, and fails where there is a `cause`."""
    health.started(instance, at)
    if cause is None:
        return health.succeeded(instance, at, at)
    return health.failed(instance, at, at, cause)


def kind_and_reason(event: Event | None) -> tuple[EventKind, str] | None:
    return None if event is None else (event.kind, event.reason)


def test_an_unreachable_instance_is_ejected_at_once(health: Health, instance: InstanceState) -> None:
    event = attempt(health, instance, 3.0, FailureCause.UNREACHABLE)
    assert event == Event(EventKind.EJECTED, 3.0, instance, TransitionReason.UNREACHABLE)
    assert health.state(instance) is State.EJECTED


def test_other_failures_eject_when_there_are_five_in_a_row(health: Health, instance: InstanceState) -> None:
    for _ in range(4):
        assert attempt(health, instance, 0.0, FailureCause.FAILED) is None
    assert attempt(health, instance, 0.0, None) is None
    for _ in range(4):
        assert attempt(health, instance, 0.0, FailureCause.FAILED) is None
    assert health.state(instance) is State.SERVING
    assert kind_and_reason(attempt(health, instance, 0.0, FailureCause.FAILED)) == (
        EventKind.EJECTED,
        TransitionReason.FAILURES,
    )


def test_what_is_not_its_fault_never_ejects(health: Health, instance: InstanceState) -> None:
    for _ in range(100):
        assert attempt(health, instance, 0.0, FailureCause.NONE) is None
    assert health.state(instance) is State.SERVING


def test_it_is_due_when_its_backoff_is_over(health: Health, instance: InstanceState) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    assert health.due(0.999) is None
    assert health.due(1.0) is instance


def test_there_is_one_trial_at_a_time(health: Health, instance: InstanceState) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    health.started(instance, 1.0)
    assert health.state(instance) is State.TRIAL
    assert health.due(50.0) is None


def test_a_trial_that_is_answered_restores(health: Health, instance: InstanceState) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    assert kind_and_reason(attempt(health, instance, 1.0, None)) == (
        EventKind.RESTORED,
        TransitionReason.TRIAL,
    )
    assert health.state(instance) is State.SERVING


@pytest.mark.parametrize("cause", [FailureCause.FAILED, FailureCause.UNREACHABLE])
def test_each_trial_that_fails_doubles_the_backoff_up_to_the_cap(
    health: Health, instance: InstanceState, cause: FailureCause
) -> None:
    now = 0.0
    attempt(health, instance, now, FailureCause.UNREACHABLE)
    for backoff in (1, 2, 4, 8, 16, 30, 30):
        assert health.due(now + backoff - 0.001) is None
        now += backoff
        assert health.due(now) is instance
        assert kind_and_reason(attempt(health, instance, now, cause)) == (
            EventKind.EJECTED,
            TransitionReason.TRIAL,
        )


def test_an_instance_stays_due_after_a_trial_given_up(health: Health, instance: InstanceState) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    health.started(instance, 1.0)
    assert health.due(1.5) is None
    health.released(instance, 1.0)
    assert health.state(instance) is State.EJECTED
    assert health.due(2.0) is instance


def test_the_backoff_keeps_growing_for_one_that_fails_again_soon(
    health: Health, instance: InstanceState
) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    attempt(health, instance, 1.0, None)
    attempt(health, instance, 20.0, FailureCause.UNREACHABLE)
    assert health.due(21.9) is None
    assert health.due(22.0) is instance


def test_the_backoff_starts_anew_for_one_that_has_served_long(
    health: Health, instance: InstanceState
) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    attempt(health, instance, 1.0, None)
    attempt(health, instance, 31.0, FailureCause.UNREACHABLE)
    assert health.due(32.0) is instance


def test_attempts_from_before_the_ejection_decide_nothing_after_it(
    health: Health, instance: InstanceState
) -> None:
    attempt(health, instance, 10.0, FailureCause.UNREACHABLE)
    assert health.succeeded(instance, 9.0, 10.5) is None
    assert health.state(instance) is State.EJECTED
    health.started(instance, 11.0)
    assert health.failed(instance, 9.0, 11.1, FailureCause.UNREACHABLE) is None
    health.released(instance, 9.0)
    assert health.state(instance) is State.TRIAL
    assert health.succeeded(instance, 11.0, 11.2) is not None
    assert health.failed(instance, 9.0, 11.3, FailureCause.UNREACHABLE) is None
    assert health.state(instance) is State.SERVING


def test_checks_eject_by_fall_and_restore_by_rise(health: Health, instance: InstanceState) -> None:
    assert [health.check_failed(instance, t) for t in (1.0, 2.0)] == [None, None]
    assert health.check_passed(instance, 3.0) is None
    assert [health.check_failed(instance, t) for t in (4.0, 5.0)] == [None, None]
    assert kind_and_reason(health.check_failed(instance, 6.0)) == (EventKind.EJECTED, TransitionReason.CHECKS)
    assert health.check_passed(instance, 7.0) is None
    assert health.check_failed(instance, 8.0) is None
    assert health.check_passed(instance, 9.0) is None
    assert kind_and_reason(health.check_passed(instance, 10.0)) == (
        EventKind.RESTORED,
        TransitionReason.CHECKS,
    )


def test_whom_checks_ejected_has_no_trial(health: Health, instance: InstanceState) -> None:
    for t in (1.0, 2.0, 3.0):
        health.check_failed(instance, t)
    assert health.due(1e9) is None
    assert attempt(health, instance, 1e9, None) is None
    assert health.state(instance) is State.EJECTED


def test_checks_overrule_a_trial(health: Health, instance: InstanceState) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    health.started(instance, 1.0)
    for t in (1.1, 1.2, 1.3):
        assert health.check_failed(instance, t) is None  # it is out already
    assert health.state(instance) is State.EJECTED
    assert health.failed(instance, 1.0, 1.4, FailureCause.FAILED) is None
    assert health.due(1e9) is None


@pytest.mark.parametrize("how", ["failures", "checks"])
def test_failures_are_counted_anew_after_a_return(health: Health, instance: InstanceState, how: str) -> None:
    for _ in range(5 if how == "failures" else 4):
        attempt(health, instance, 0.0, FailureCause.FAILED)
    for _ in range(3 if how == "checks" else 0):
        health.check_failed(instance, 0.0)
    assert health.state(instance) is State.EJECTED
    health.check_passed(instance, 0.1)
    assert health.check_passed(instance, 0.2) is not None
    for _ in range(4):
        assert attempt(health, instance, 1.0, FailureCause.FAILED) is None


def test_checks_that_pass_end_the_backoff_of_one_that_was_unreachable(
    health: Health, instance: InstanceState
) -> None:
    now = 0.0
    for _ in range(6):  # as often as it likes: that it is there again is what checks can see
        attempt(health, instance, now, FailureCause.UNREACHABLE)
        assert health.check_passed(instance, now + 0.1) is None
        assert kind_and_reason(health.check_passed(instance, now + 0.2)) == (
            EventKind.RESTORED,
            TransitionReason.CHECKS,
        )
        now += 1.0


def test_checks_end_the_backoff_after_failures_once_and_then_a_trial_must(
    health: Health, instance: InstanceState
) -> None:
    for _ in range(5):
        attempt(health, instance, 0.0, FailureCause.FAILED)
    health.check_passed(instance, 0.1)
    assert health.check_passed(instance, 0.2) is not None
    for _ in range(5):
        attempt(health, instance, 1.0, FailureCause.FAILED)
    for t in (1.1, 1.2, 1.3, 1.4):
        assert health.check_passed(instance, t) is None
    assert health.due(3.0) is instance


def test_a_check_that_fails_during_ejection_makes_checks_its_judge(
    health: Health, instance: InstanceState
) -> None:
    for now in (0.0, 1.0):
        for _ in range(5):
            attempt(health, instance, now, FailureCause.FAILED)
        health.check_failed(instance, now + 0.1)
        health.check_passed(instance, now + 0.2)
        assert health.check_passed(instance, now + 0.3) is not None


def test_one_that_is_forgotten_starts_with_a_clean_sheet(health: Health, instance: InstanceState) -> None:
    attempt(health, instance, 0.0, FailureCause.UNREACHABLE)
    health.forget(instance)
    assert health.state(instance) is State.SERVING
    assert health.due(100.0) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotConnected(FailureKind.REFUSED, "h:1"), FailureCause.UNREACHABLE),
        (NotConnected(FailureKind.UNREACHABLE, "h:1"), FailureCause.UNREACHABLE),
        (NotConnected(FailureKind.CONNECT_TIMEOUT, "h:1"), FailureCause.FAILED),
        (NotSent(FailureKind.CLOSED_EARLY, "h:1"), FailureCause.FAILED),
        (NotConnected(FailureKind.NO_DESCRIPTOR, "h:1"), FailureCause.NONE),
        (NoAnswer(FailureKind.NO_MEMORY, "h:1"), FailureCause.NONE),
        (NoAnswer(FailureKind.READ_TIMEOUT, "h:1"), FailureCause.FAILED),
        (NoAnswer(FailureKind.ABORTED, "h:1"), FailureCause.NONE),
        (BrokenAnswer(FailureKind.SHORT_BODY, "h:1"), FailureCause.FAILED),
    ],
)
def test_a_failure_counts_against_the_instance_only_where_it_is_its_own(
    error: NotConnected, expected: FailureCause
) -> None:
    assert cause_of(error) is expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"failures": 0},
        {"rise": 0},
        {"fall": 0},
        {"backoff_s": 0.0},
        {"backoff_s": 31.0},
        {"panic_threshold": 1.5},
    ],
)
def test_rules_that_make_no_sense_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HealthRules(**wrong)  # type: ignore[arg-type]
