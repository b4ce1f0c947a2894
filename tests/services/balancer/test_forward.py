"""Where a request goes: to other instances where one fails, into the queue, or back with a plain word."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections import Counter

import pytest

from services.addresses import Address
from services.balancer.retries import RetryBudget
from services.wire import WireClient, WireError
from tests.support.balancing import balanced, echo, let_time_pass, post, silent
from tests.support.waiting import eventually


async def drop(request):
    """Close without a byte of an answer."""
    request.wire.reset()
    raise ConnectionError


async def half(request):
    """Begin an answer and break off."""
    await request.begin(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 50_000)
    request.wire.reset()
    raise ConnectionError


async def test_a_request_refused_by_one_instance_goes_to_the_next():
    async with balanced(echo, echo, echo) as b:
        await b.instances[0].kill()
        await b.instances[1].kill()
        answers = [await b.ask(post(b"%d" % i)) for i in range(6)]
        assert [answer.body for answer in answers] == [b"service1c:%d" % i for i in range(6)]
        assert b.counts() == [{"requests": 1, "errors": 1}] * 2 + [{"requests": 6, "errors": 0}]
        assert len(b.events("ejected")) == 2


async def test_a_request_that_was_sent_goes_to_the_next_only_on_a_route_declared_idempotent():
    async with balanced(drop, echo, idempotent=frozenset(("/process",))) as b:
        assert (await b.ask(post(b"a"))).body == b"service1b:a"
        await b.ask(post(b"b"))
        refused = await b.ask(post(b"c", path="/order"))
        assert refused.status == 502
        assert f"service1a:{b.instances[0].port} reset" in json.loads(refused.body)["detail"]
        assert [event["reason"] for event in b.events("denied")] == ["not_idempotent"]
        assert [r.body for r in b.instances[1].requests] == [b"a", b"b"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_methods_that_http_calls_safe_may_always_be_tried_again(method):
    async with balanced(drop, echo, idempotent=frozenset()) as b:
        answer = await b.ask(f"{method} /x HTTP/1.1\r\nHost: x\r\n\r\n".encode(), is_head=method == "HEAD")
        assert answer.status == 200


async def test_when_all_fail_the_client_learns_which_were_tried_and_when_to_come_back():
    async with balanced(echo, drop) as b:
        await b.instances[0].kill()
        client = await b.client()
        client.send(post(b"x"))
        answer = await client.answer()
        assert (answer.status, answer.header("Retry-After")) == (503, "1")
        detail = json.loads(answer.body)["detail"]
        assert detail.startswith("service1: all instances failed (tried: ")
        assert f"service1a:{b.instances[0].port} refused" in detail
        assert f"service1b:{b.instances[1].port} reset" in detail
        client.send(post(b"x"))
        assert (await client.answer()).status == 503


async def test_a_balancer_whose_instances_were_all_dead_serves_again_without_a_restart():
    async with balanced(echo, echo) as b:
        for instance in b.instances:
            await instance.kill()
        assert (await b.ask(post())).status == 503
        await b.instances[1].start()
        assert (await b.ask(post(b"x"))).body == b"service1b:x"


async def test_without_instances_the_answer_is_503():
    async with balanced() as b:
        answer = await b.ask(post())
        assert (answer.status, answer.header("Retry-After")) == (503, "1")


async def test_an_answer_begun_is_cut_off_and_never_taken_for_whole():
    async with balanced(half, echo) as b:
        client = await b.client()
        client.send(post())
        assert (await client.head())[0] == "HTTP/1.1 200 OK"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readexactly(100_000)
        assert b.counts() == [{"requests": 1, "errors": 1}, {"requests": 0, "errors": 0}]


@pytest.mark.parametrize("seen", [b"", b"Content-Type: text/plain\r\n\r\n", b"\r\nbeg"])
async def test_a_short_answer_whose_instance_dies_over_it_is_fetched_elsewhere(seen):
    """A server writes head and body one after the other, and can be killed between the two."""

    async def dies(request):
        await request.begin(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" + seen)
        request.wire.reset()
        raise ConnectionError

    async with balanced(dies, echo) as b:
        answer = await b.ask(post(b"x"))
        assert (answer.status, answer.body) == (200, b"service1b:x")
        assert b.counts() == [{"requests": 1, "errors": 1}, {"requests": 1, "errors": 0}]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01 no HTTP",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_an_answer_that_cannot_be_passed_on_is_a_bad_gateway(raw):
    async def odd(request):
        request.wire.send(raw)

    async with balanced(odd) as b:
        answer = await b.ask(post())
        assert answer.status == 502
        assert "protocol_error" in json.loads(answer.body)["detail"]
        assert b.counts() == [{"requests": 1, "errors": 1}]


async def test_a_frozen_instance_costs_one_try_and_the_answer_comes_from_another():
    async with balanced(silent, echo) as b:
        asking = asyncio.ensure_future(b.ask(post(b"x")))
        await eventually(lambda: b.instances[0].requests)
        let_time_pass(b.attempts[0])
        assert (await asking).body == b"service1b:x"
        assert b.counts() == [{"requests": 1, "errors": 1}, {"requests": 1, "errors": 0}]
        assert [event["reason"] for event in b.events("retried")] == ["read_timeout"]


async def test_a_frozen_instance_is_a_gateway_time_out_where_nothing_may_be_tried_again():
    async with balanced(silent, echo) as b:
        asking = asyncio.ensure_future(b.ask(post(b"x", path="/order")))
        await eventually(lambda: b.instances[0].requests)
        let_time_pass(b.attempts[0])
        assert (await asking).status == 504


async def test_the_clients_deadline_ends_a_request_and_is_not_the_instances_fault():
    async with balanced(silent, failures=1) as b:
        answer = await b.ask(post(headers="X-Request-Deadline-Ms: 100\r\n"))
        assert answer.status == 504
        assert b.events("ejected") == []
        assert (await b.ask(post(headers="X-Request-Deadline-Ms: 0\r\n"))).status == 504
        assert b.counts() == [{"requests": 1, "errors": 0}]


async def test_an_answer_that_trickles_on_ends_with_the_requests_time_and_is_not_the_instances_fault():
    async def trickle(request):
        request.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            request.wire.send(b"x")
            await asyncio.sleep(0.02)

    async with balanced(trickle, failures=1) as b:
        client = await b.client()
        client.send(post())
        await client.head()
        b.connections[0]._forward.deadline = time.monotonic()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.reader.readexactly(100_000)
        assert b.counts() == [{"requests": 1, "errors": 0}]
        assert b.events("ejected") == []


async def test_a_client_that_does_not_read_holds_an_instance_no_longer_than_the_requests_time():
    async def flood(request):
        request.wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            request.wire.send(b"x" * 65536)
            await request.wire.writer.drain()

    async with balanced(flood, failures=1) as b:
        client = await b.client()
        client.reader._limit = 1024  # so that what is not read is not taken in
        client.send(post())
        await eventually(lambda: any(c._held_up for c in b.connections))
        b.connections[0]._forward.deadline = time.monotonic()
        let_time_pass(b.attempts[0])
        await eventually(lambda: b.instances[0].closed)
        assert b.counts() == [{"requests": 1, "errors": 0}]
        (instance,) = b.server.balancer.instances
        assert instance.in_flight == 0


async def test_each_instance_is_tried_at_most_once():
    async with balanced(drop, drop, drop, failures=100) as b:
        assert (await b.ask(post())).status == 503
        assert b.counts() == [{"requests": 1, "errors": 1}] * 3


async def test_only_what_goes_to_another_instance_counts_as_a_retry():
    async def broken(request):
        request.answer(b"no", status="502 Bad Gateway")

    async with balanced(echo) as b:
        await b.instances[0].kill()
        assert (await b.ask(post())).status == 503
        assert b.events("retried") == []
    async with balanced(drop, drop, failures=100) as b:
        assert (await b.ask(post())).status == 503
        assert [event["instance"] for event in b.events("retried")] == [f"service1a:{b.instances[0].port}"]
    async with balanced(broken, retry_statuses=frozenset((502,))) as b:
        assert (await b.ask(post())).status == 503
        assert b.server.balancer.counters.retries == {}


async def test_a_retry_that_has_to_wait_counts_once_it_goes():
    release = asyncio.Event()

    async def moody(request):
        if request.body == b"hold":
            await release.wait()
        if request.body == b"drop" and request.instance.name == "service1b":
            await drop(request)
        await echo(request)

    async with balanced(moody, moody, in_flight_limit=1, queue_timeout_s=15.0) as b:
        held = asyncio.ensure_future(b.ask(post(b"hold")))
        await eventually(lambda: b.instances[0].requests)
        waiting = asyncio.ensure_future(b.ask(post(b"drop")))
        await eventually(lambda: len(b.server.balancer.queue) == 1)
        assert b.events("retried") == []
        release.set()
        await held
        assert (await waiting).body == b"service1a:drop"
        assert [event["reason"] for event in b.events("retried")] == ["reset"]


async def test_retries_of_what_was_sent_stay_within_the_budget():
    class Standing(RetryBudget):
        """A budget for which time stands still, so that it earns nothing."""

        def balance(self, _: float) -> float:
            return super().balance(0.0)

    async with balanced(drop, drop, failures=1000) as b:
        b.server.balancer.budget = Standing(0.0, ratio=0.0, per_second=3.0)
        answers = [await b.ask(post()) for _ in range(10)]
        assert [answer.status for answer in answers] == [503] * 3 + [502] * 7
        assert len(b.events("retried")) == 3
        assert [event["reason"] for event in b.events("denied")] == ["no_budget"] * 7


async def test_a_long_body_is_not_sent_twice():
    async with balanced(drop, echo, replay_limit_bytes=1000) as b:
        answer = await b.ask(post(b"x" * 5000))
        assert answer.status == 502
        assert b.instances[1].requests == []


async def test_a_long_body_goes_to_the_next_instance_where_nothing_was_sent():
    async with balanced(echo, echo, replay_limit_bytes=1000) as b:
        await b.instances[0].kill()
        assert (await b.ask(post(b"x" * 5000))).body == b"service1b:" + b"x" * 5000


async def test_a_route_may_ask_for_answers_to_be_taken_as_failures():
    async def broken(request):
        request.answer(b"no", status="502 Bad Gateway")

    async with balanced(broken, echo, retry_statuses=frozenset((502,))) as b:
        assert (await b.ask(post(b"x"))).body == b"service1b:x"
        await b.ask(post(b"y"))
        passed = await b.ask(post(b"z", path="/order"))
        assert (passed.status, passed.body) == (502, b"no")
        assert b.counts()[0] == {"requests": 3, "errors": 2}


async def test_an_answer_taken_as_a_failure_is_one_every_time():
    async def broken(request):
        request.answer(b"no", status="502 Bad Gateway")

    settings = {"retry_statuses": frozenset((502,)), "failures": 100}
    async with balanced(broken, echo, **settings) as b:
        for i in range(10):
            assert (await b.ask(post(b"%d" % i))).body == b"service1b:%d" % i
        failed, served = b.counts()
        assert failed["requests"] == failed["errors"] >= 4
        assert served == {"requests": 10, "errors": 0}
        assert b.instances[0].connections == 1


async def test_an_answer_taken_as_a_failure_is_one_also_where_its_body_breaks():
    async def broken(request):
        await request.begin(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 10\r\n\r\nno")
        request.wire.reset()

    one_retry = {"retry_ratio": 0, "retry_per_s": 1, "retry_statuses": frozenset((502,))}

    async with balanced(broken, echo, **one_retry) as b:
        assert (await b.ask(post(b"x"))).body == b"service1b:x"
        assert b.counts()[0] == {"requests": 1, "errors": 1}


async def test_an_instance_killed_under_load_costs_no_request():
    async def brief(request):
        await asyncio.sleep(0.002)
        await echo(request)

    async with balanced(brief, brief, brief, brief, retry_per_s=100.0) as b:
        statuses = []
        stop = asyncio.Event()

        async def load():
            client = await b.client()
            while not stop.is_set():
                client.send(post(b"x"))
                statuses.append((await client.answer()).status)

        loads = [asyncio.ensure_future(load()) for _ in range(8)]
        for number, instance in enumerate(b.instances[:3], 1):
            await eventually(lambda number=number: len(statuses) > 50 * number)
            await instance.kill()
        await eventually(lambda: len(statuses) > 200)
        stop.set()
        await asyncio.gather(*loads)
        assert set(statuses) == {200}


async def test_connections_that_were_closed_while_idle_cost_no_request():
    async def once(request):
        await echo(request)
        request.wire.writer.close()

    async with balanced(once) as b:
        for _ in range(20):
            assert (await b.ask(post(path="/order"))).status == 200
            await eventually(lambda: b.instances[0].closed == b.instances[0].connections)
        assert b.counts() == [{"requests": 20, "errors": 0}]


async def test_requests_beyond_the_limit_wait_their_turn():
    running, most = set(), []

    async def busy(request):
        running.add(request)
        most.append(len(running))
        await asyncio.sleep(0.01)
        running.discard(request)
        await echo(request)

    async with balanced(busy, busy, in_flight_limit=1, queue_timeout_s=60.0) as b:
        answers = await asyncio.gather(*[b.ask(post(b"%d" % i)) for i in range(20)])
        assert [answer.status for answer in answers] == [200] * 20
        assert max(most) == 2


async def test_a_full_queue_sends_requests_away_at_once_and_a_long_wait_in_the_end():
    rules = {"in_flight_limit": 1, "queue_limit": 1, "queue_timeout_s": 60.0}
    async with balanced(silent, **rules) as b:
        first = asyncio.ensure_future(b.ask(post()))
        await eventually(lambda: b.instances[0].requests)
        second = asyncio.ensure_future(b.ask(post()))
        await eventually(lambda: len(b.server.balancer.queue))
        third = await b.ask(post())
        assert (third.status, third.header("Retry-After")) == (503, "1")
        (waiting,) = b.server.balancer.queue.expire(time.monotonic() + 60.0)
        waiting.on_queue_timeout()
        assert (await second).status == 503
        assert [event["reason"] for event in b.events("queued_out")] == ["full", "timeout"]
        first.cancel()


async def test_an_instance_that_queued_requests_have_been_to_serves_those_that_come_later():
    release = asyncio.Event()

    async def moody(request):
        if request.body == b"hold":
            await release.wait()
        if request.body == b"drop" and request.instance.name == "service1b":
            await drop(request)
        await echo(request)

    async with balanced(moody, moody, in_flight_limit=1, queue_timeout_s=15.0) as b:
        held = asyncio.ensure_future(b.ask(post(b"hold")))
        await eventually(lambda: b.instances[0].requests)
        waiting = asyncio.ensure_future(b.ask(post(b"drop")))
        await eventually(lambda: len(b.server.balancer.queue) == 1)
        assert (await b.ask(post(b"next"))).body == b"service1b:next"
        release.set()
        assert [(await answer).body for answer in (held, waiting)] == [
            b"service1a:hold",
            b"service1a:drop",
        ]


async def test_a_request_that_leaves_the_queue_is_not_sent_anywhere():
    release = asyncio.Event()

    async def held(request):
        await release.wait()
        await echo(request)

    async with balanced(held, in_flight_limit=1) as b:
        first = asyncio.ensure_future(b.ask(post(b"1")))
        await eventually(lambda: b.instances[0].requests)
        leaver = await b.client()
        leaver.send(post(b"2"))
        await eventually(lambda: len(b.server.balancer.queue) == 1)
        leaver.writer.close()
        await eventually(lambda: len(b.server.balancer.queue) == 0)
        release.set()
        assert (await first).body == b"service1a:1"
        assert (await b.ask(post(b"3"))).body == b"service1a:3"
        assert [r.body for r in b.instances[0].requests] == [b"1", b"3"]


async def test_every_request_is_accounted_for_whatever_instances_do():
    """Random faults and kills: each request has one outcome, and gets its own body back.

    Where the route is not declared idempotent a request is executed once at most, and retries of what was
    sent stay inside the budget.
    """
    rng = random.Random(7)
    total, ratio, per_s = 3_000, 0.05, 5.0

    async def moody(request):
        executed[request.body] += 1
        mood = rng.random()
        if mood < 0.02:
            await drop(request)
        elif mood < 0.03:
            await half(request)
        elif mood < 0.032:
            await silent(request)
        elif mood < 0.05:
            request.wire.send(b"what?\r\n\r\n")
            raise ConnectionError
        elif mood < 0.1:
            request.answer(request.body, headers="Connection: close\r\n")
            raise ConnectionError
        elif mood < 0.5:
            await asyncio.sleep(0.002)
        request.answer(request.body, status="500 No" if mood > 0.99 else "200 OK")

    executed = Counter()
    settings = {
        "timeout_s": 0.3,
        "backoff_s": 0.05,
        "check_interval_s": 0.02,
        "retry_ratio": ratio,
        "retry_per_s": per_s,
    }

    async with balanced(moody, moody, moody, moody, **settings) as b, WireClient() as client:
        begun = time.monotonic()
        outcomes = Counter()
        numbers = iter(range(total))

        async def load():
            for i in numbers:
                path, body = ("/process", "/order")[i % 2], b"%d" % i
                try:
                    answer = await client.post(f"http://127.0.0.1:{b.port}{path}", body)
                except WireError as error:
                    outcomes[type(error).__name__] += 1
                    continue
                outcomes[answer.status] += 1
                assert answer.status in (502, 503, 504) or answer.body == body
                assert path == "/process" or executed[body] <= 1

        async def kill():
            while True:
                await asyncio.sleep(0.1)
                victim = rng.choice(b.instances)
                await victim.kill()
                await asyncio.sleep(0.05)
                await victim.start()

        killing = asyncio.ensure_future(kill())
        await asyncio.gather(*[load() for _ in range(16)])
        killing.cancel()
        balancer = b.server.balancer
        assert outcomes.total() == total == sum(balancer.counters.answers.values())
        assert outcomes[200] > total / 2
        assert set(outcomes) <= {200, 500, 502, 503, 504, "BrokenAnswer"}
        sent = balancer.counters.retries.total() - balancer.counters.retries["refused"]
        assert sent <= per_s + ratio * total + per_s * (time.monotonic() - begun)
        assert all(instance.in_flight == 0 for instance in balancer.instances)


def closes_on_second(seen):
    """Answer the first request on each connection, and close at the second: a keep-alive race, every time."""

    async def answer(request):
        seen[request.wire] = seen.get(request.wire, 0) + 1
        if seen[request.wire] == 2:
            request.wire.writer.close()
            raise ConnectionError
        await echo(request)

    return answer


@pytest.mark.parametrize("request_", [post(b"x"), b"GET /any HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_kept_connection_that_the_instance_closes_is_not_its_failure(request_):
    async with balanced(closes_on_second({}), retry_ratio=0.0, retry_per_s=0.0, failures=1) as b:
        assert [(await b.ask(request_)).status for _ in range(40)] == [200] * 40
        assert b.counts() == [{"requests": 40 + 39, "errors": 0}]
        assert b.events("ejected") == b.events("denied") == []
        assert {event["reason"] for event in b.events("retried")} == {"stale"}


async def test_what_is_not_idempotent_is_never_sent_again_over_another_connection():
    async with balanced(closes_on_second({}), failures=1) as b:
        answers = [await b.ask(post(b"%d" % i, path="/order")) for i in range(4)]
        assert [answer.status for answer in answers] == [200, 502, 200, 502]
        assert [r.body for r in b.instances[0].requests] == [b"0", b"1", b"2", b"3"]
        assert b.events("ejected") == []


async def test_a_new_connection_that_fails_too_is_the_instances_failure():
    async def second_drops(request):
        if len(request.instance.requests) > 1:
            await drop(request)
        await echo(request)

    async with balanced(second_drops, echo) as b:
        assert (await b.ask(post(b"a"))).body == b"service1a:a"
        assert (await b.ask(post(b"b"))).body == b"service1b:b"
        assert (await b.ask(post(b"c"))).body == b"service1b:c"
        assert b.counts()[0] == {"requests": 3, "errors": 1}


async def test_an_instance_that_accepts_and_closes_is_tried_once_by_each_request():
    async def accept_and_close(_, writer):
        writer.close()

    async with balanced(failures=1000) as b:
        closing = await asyncio.start_server(accept_and_close, "127.0.0.1", 0)
        port = closing.sockets[0].getsockname()[1]
        b.server.add_instance(Address("service1x", "127.0.0.1", port))
        answers = [await b.ask(post(b"x", path="/order")) for _ in range(10)]
        assert {answer.status for answer in answers} <= {502, 503}
        assert b.counts() == [{"requests": 10, "errors": 10}]
        closing.close()


async def test_checks_free_what_waits_for_the_instance_that_they_eject():
    async with balanced(silent, echo) as b:
        asking = asyncio.ensure_future(b.ask(post(b"x")))
        await eventually(lambda: b.instances[0].requests)
        frozen, _ = b.server.balancer.instances
        for _ in range(3):
            b.server.balancer.checked(frozen, healthy=False, now=time.monotonic())
        assert (await asking).body == b"service1b:x"
        assert b.counts() == [{"requests": 1, "errors": 1}, {"requests": 1, "errors": 0}]
        assert [event["reason"] for event in b.events("retried")] == ["ejected"]


@pytest.mark.parametrize(
    ("path", "budget", "answerers"),
    [("/order", 10.0, 2), ("/process", 0.0, 2), ("/process", 10.0, 1)],
    ids=["not idempotent", "no budget", "no other instance"],
)
async def test_what_may_not_go_elsewhere_stays_with_the_instance_that_checks_ejected(path, budget, answerers):
    thawed = asyncio.Event()

    async def frozen(request):
        await thawed.wait()
        await echo(request)

    async with balanced(frozen, *[echo] * (answerers - 1), retry_ratio=0.0, retry_per_s=budget) as b:
        asking = asyncio.ensure_future(b.ask(post(b"x", path=path)))
        await eventually(lambda: b.instances[0].requests)
        first, *_ = b.server.balancer.instances
        for _ in range(3):
            b.server.balancer.checked(first, healthy=False, now=time.monotonic())
        thawed.set()
        assert (await asking).body == b"service1a:x"


async def test_an_answer_that_has_begun_is_not_fetched_elsewhere_when_checks_eject():
    release = asyncio.Event()

    async def slow(request):
        await request.begin(b"HTTP/1.1 200 OK\r\n")
        release.set()
        await thawed.wait()
        request.wire.send(b"Content-Length: 1\r\n\r\nx")

    thawed = asyncio.Event()
    async with balanced(slow, echo) as b:
        asking = asyncio.ensure_future(b.ask(post()))
        await release.wait()
        first, *_ = b.server.balancer.instances
        for _ in range(3):
            b.server.balancer.checked(first, healthy=False, now=time.monotonic())
        thawed.set()
        assert (await asking).body == b"x"


async def test_the_clients_deadline_also_ends_connecting():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        async with balanced(failures=1, connect_timeout_s=1000.0) as b:
            b.server.add_instance(Address("service1x", *full.getsockname()))
            answer = await b.ask(post(headers="X-Request-Deadline-Ms: 50\r\n"))
            assert answer.status == 504
            assert b.counts() == [{"requests": 1, "errors": 0}]
            assert b.events("ejected") == []
        for each in waiting:
            each.close()
