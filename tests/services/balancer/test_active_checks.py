"""Active checks take out and bring back instances, whether requests go there or not."""

from __future__ import annotations

from tests.support.balancing import balanced, echo, post
from tests.support.waiting import eventually


async def test_checks_eject_an_instance_that_answers_requests_but_not_checks_and_restore_it():
    rules = {"check_interval_s": 0.02, "check_timeout_s": 30.0, "rise": 2, "fall": 2}
    async with balanced(echo, echo, **rules) as b:
        await eventually(lambda: b.instances[0].checks and b.instances[1].checks)
        b.instances[0].health = "503 No"
        await eventually(lambda: b.events("ejected"))
        assert [(await b.ask(post(b"x"))).body for _ in range(4)] == [b"service1b:x"] * 4
        b.instances[0].health = "404 Not Found"  # it has no such route, but it is there
        await eventually(lambda: b.events("restored"))
        assert {(await b.ask(post(b"x"))).body for _ in range(4)} == {
            b"service1a:x",
            b"service1b:x",
        }
        assert [event["reason"] for event in b.events("ejected")] == ["checks"]


async def test_a_frozen_instance_delays_no_other_instances_checks():
    async with balanced(echo, echo, check_interval_s=0.02, check_timeout_s=5.0) as b:
        b.instances[0].frozen = True
        await eventually(lambda: b.instances[1].checks > 5)
