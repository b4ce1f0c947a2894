"""Who waits, for how long, and who is next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.events import Event, EventKind
from services.balancer.queue import WaitingQueue


def anyone(waiting: str) -> str:
    """Finds an instance for whoever asks."""
    return f"for {waiting}"


def test_first_come_first_served() -> None:
    queue: WaitingQueue[str] = WaitingQueue(10, 1.0)
    for n, name in enumerate("abc"):
        assert queue.offer(name, float(n))
    assert [queue.take(anyone) for _ in range(4)] == [("a", "for a"), ("b", "for b"), ("c", "for c"), None]


def test_a_full_queue_turns_away_and_says_so() -> None:
    heard: list[Event] = []
    queue: WaitingQueue[str] = WaitingQueue(1, 1.0, heard.append)
    assert queue.offer("a", 0.0)
    assert not queue.offer("b", 2.0)
    assert len(queue) == 1
    assert heard == [Event(EventKind.QUEUED_OUT, 2.0, None, "full")]


def test_a_queue_of_no_length_lets_nobody_wait() -> None:
    assert not WaitingQueue[str](0, 1.0).offer("a", 0.0)


def test_who_waits_too_long_is_queued_out_and_nobody_else() -> None:
    heard: list[Event] = []
    queue: WaitingQueue[str] = WaitingQueue(10, 1.0, heard.append)
    assert queue.deadline is None
    for name, at in (("a", 0.0), ("b", 0.5), ("c", 0.6)):
        queue.offer(name, at)
    assert queue.deadline == 1.0
    assert queue.expire(0.99) == []
    assert queue.expire(1.5) == ["a", "b"]
    assert queue.deadline == 1.6
    assert [event.reason for event in heard] == ["timeout", "timeout"]


def test_who_leaves_is_not_served() -> None:
    queue: WaitingQueue[str] = WaitingQueue(10, 1.0)
    queue.offer("a", 0.0)
    queue.offer("b", 0.0)
    queue.withdraw("a")
    queue.withdraw("never came")
    assert queue.take(anyone) == ("b", "for b")


def test_one_for_whom_there_is_no_instance_keeps_its_place() -> None:
    queue: WaitingQueue[str] = WaitingQueue(10, 1.0)
    for name in "abc":
        queue.offer(name, 0.0)
    assert queue.take(lambda waiting: None if waiting == "a" else waiting) == ("b", "b")
    assert queue.take(anyone) == ("a", "for a")


def test_only_the_first_few_are_asked() -> None:
    queue: WaitingQueue[int] = WaitingQueue(1000, 1.0)
    for n in range(1000):
        queue.offer(n, 0.0)
    asked: list[int] = []
    assert queue.take(asked.append) is None
    assert asked == list(range(len(asked)))
    assert len(asked) < 10


@given(
    st.lists(
        st.tuples(st.sampled_from(["offer", "take", "withdraw", "expire"]), st.integers(0, 9)), max_size=60
    )
)
def test_everyone_who_came_is_served_or_left_or_was_queued_out_once(calls: list[tuple[str, int]]) -> None:
    queue: WaitingQueue[int] = WaitingQueue(5, 4.0)
    waiting: dict[int, float] = {}
    for now, (call, argument) in enumerate(calls):
        match call:
            case "offer":
                assert queue.offer(now, float(now)) == (len(waiting) < 5)
                if len(waiting) < 5:
                    waiting[now] = now + 4.0
            case "take":
                assert queue.take(anyone_at_all) == ((min(waiting), True) if waiting else None)
                if waiting:
                    del waiting[min(waiting)]
            case "withdraw":
                gone = now - argument
                queue.withdraw(gone)
                waiting.pop(gone, None)
            case _:
                over = [n for n, deadline in waiting.items() if deadline <= now]
                assert queue.expire(float(now)) == over
                waiting = {n: deadline for n, deadline in waiting.items() if n not in over}
        assert len(queue) == len(waiting)


def anyone_at_all(_: int) -> bool:
    return True


@pytest.mark.parametrize(("limit", "timeout_s"), [(-1, 1.0), (1, 0.0)])
def test_a_queue_that_makes_no_sense_is_refused(limit: int, timeout_s: float) -> None:
    with pytest.raises(ValueError, match="queue"):
        WaitingQueue[str](limit, timeout_s)
