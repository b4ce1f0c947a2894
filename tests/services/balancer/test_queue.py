"""Which requests wait, for how long, and which is next."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.events import Event, EventKind, ignore
from services.balancer.instances import InstanceState
from services.balancer.queue import RequestQueue

PLACE = InstanceState("service1a", "127.0.0.1", 8051)


class Waiting:
    """A request that waits, and notes what it is told."""

    def __init__(self, name: object) -> None:
        self.name = name
        self.tried: Collection[InstanceState] = (self,)  # type: ignore[assignment]  # so that `find` sees who asks
        self.told: list[object] = []

    def on_room(self, instance: InstanceState) -> None:
        self.told.append(instance)

    def on_queue_timeout(self) -> None:
        self.told.append("timeout")


class Surroundings:
    """Stands for the InstanceSet and the Deadlines: finds instances by `find`, notes the timer in `at`."""

    def __init__(self, find: Callable[[Waiting], InstanceState | None]) -> None:
        self.find = find
        self.at: float | None = None

    def choose(self, _: float, tried: Collection[Any]) -> InstanceState | None:
        (request,) = tried
        return self.find(request)

    def watch(self, _: object, at: float) -> None:
        self.at = at

    def forget(self, _: object) -> None:
        self.at = None


def room_for_all(_: Waiting) -> InstanceState | None:
    return PLACE


def queue_of(
    limit: int,
    timeout_s: float,
    on_event: Callable[[Event], None] = ignore,
    find: Callable[[Waiting], InstanceState | None] = room_for_all,
) -> tuple[RequestQueue, Surroundings]:
    around = Surroundings(find)
    return RequestQueue(limit, timeout_s, cast(Any, around), cast(Any, around), on_event), around


def test_the_first_to_come_is_the_first_to_go() -> None:
    queue, _ = queue_of(10, 1.0)
    a, b, c = (Waiting(name) for name in "abc")
    for now, request in enumerate((a, b, c)):
        assert queue.join(request, float(now))
    assert [queue.take(3.0) for _ in range(4)] == [(a, PLACE), (b, PLACE), (c, PLACE), None]


def test_a_full_queue_turns_away_and_reports_it() -> None:
    events: list[Event] = []
    queue, _ = queue_of(1, 1.0, events.append)
    assert queue.join(Waiting("a"), 0.0)
    assert not queue.join(Waiting("b"), 2.0)
    assert len(queue) == 1
    assert events == [Event(EventKind.QUEUED_OUT, 2.0, None, "full")]


def test_a_queue_of_no_length_lets_no_request_wait() -> None:
    queue, _ = queue_of(0, 1.0)
    assert not queue.join(Waiting("a"), 0.0)
    assert not queue.nonempty


def test_only_requests_that_wait_too_long_are_queued_out() -> None:
    events: list[Event] = []
    queue, around = queue_of(10, 1.0, events.append)
    assert around.at is None
    a, b, c = (Waiting(name) for name in "abc")
    for request, at in ((a, 0.0), (b, 0.5), (c, 0.6)):
        queue.join(request, at)
    assert around.at == 1.0
    assert queue.expire(0.99) == []
    assert queue.expire(1.5) == [a, b]
    assert [event.reason for event in events] == ["timeout", "timeout"]


def test_the_timer_tells_the_requests_that_are_late_and_is_set_to_the_next() -> None:
    queue, around = queue_of(10, 1.0)
    late, later = Waiting("late"), Waiting("later")
    queue.join(late, 0.0)
    queue.join(later, 1e12)  # long after any clock
    queue.on_deadline()
    assert (late.told, later.told) == (["timeout"], [])
    assert around.at == 1e12 + 1.0


def test_a_request_that_leaves_is_not_served() -> None:
    queue, _ = queue_of(10, 1.0)
    a, b = Waiting("a"), Waiting("b")
    queue.join(a, 0.0)
    queue.join(b, 0.0)
    queue.leave(a)
    queue.leave(Waiting("never came"))
    assert queue.take(0.0) == (b, PLACE)
    assert not queue.nonempty


def test_a_request_for_which_there_is_no_instance_keeps_its_place() -> None:
    queue, around = queue_of(10, 1.0, find=lambda request: None if request.name == "a" else PLACE)
    a, b, c = (Waiting(name) for name in "abc")
    for request in (a, b, c):
        queue.join(request, 0.0)
    assert queue.take(0.0) == (b, PLACE)
    around.find = room_for_all
    assert queue.take(0.0) == (a, PLACE)


def test_dispatching_sends_requests_until_there_is_no_more_room() -> None:
    places = [PLACE, PLACE]
    queue, _ = queue_of(10, 1.0, find=lambda _: places.pop() if places else None)
    requests = [Waiting(n) for n in range(3)]
    for request in requests:
        queue.join(request, 0.0)
    queue.dispatch()
    assert [request.told for request in requests] == [[PLACE], [PLACE], []]
    assert queue.nonempty


def test_only_the_first_few_are_looked_at() -> None:
    seen: list[object] = []
    queue, _ = queue_of(1000, 1.0, find=lambda request: seen.append(request.name))
    for n in range(1000):
        queue.join(Waiting(n), 0.0)
    assert queue.take(0.0) is None
    assert seen == list(range(len(seen)))
    assert len(seen) < 10


@given(
    st.lists(st.tuples(st.sampled_from(["join", "take", "leave", "expire"]), st.integers(0, 9)), max_size=60)
)
def test_every_request_is_served_or_left_or_was_queued_out_once(calls: list[tuple[str, int]]) -> None:
    queue, _ = queue_of(5, 4.0)
    requests = [Waiting(n) for n in range(len(calls))]
    waiting: dict[int, float] = {}
    for now, (call, argument) in enumerate(calls):
        match call:
            case "join":
                assert queue.join(requests[now], float(now)) == (len(waiting) < 5)
                if len(waiting) < 5:
                    waiting[now] = now + 4.0
            case "take":
                assert queue.take(now) == ((requests[min(waiting)], PLACE) if waiting else None)
                if waiting:
                    del waiting[min(waiting)]
            case "leave":
                gone = max(0, now - argument)
                queue.leave(requests[gone])
                waiting.pop(gone, None)
            case _:
                over = [n for n, due in waiting.items() if due <= now]
                assert queue.expire(float(now)) == [requests[n] for n in over]
                waiting = {n: due for n, due in waiting.items() if n not in over}
        assert len(queue) == len(waiting)
        assert queue.nonempty is bool(waiting)


@pytest.mark.parametrize(("limit", "timeout_s"), [(-1, 1.0), (1, 0.0)])
def test_a_queue_that_makes_no_sense_is_refused(limit: int, timeout_s: float) -> None:
    with pytest.raises(ValueError, match="queue"):
        queue_of(limit, timeout_s)
