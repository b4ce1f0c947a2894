"""The gRPC balancer: calls over instances, and what becomes of those that fail."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.events import Event
from services.balancer.settings import PolicyName
from services.rpc import pipeline_pb2 as pb
from services.rpc.balancer.call import GrpcForward
from services.rpc.channels import open_channel
from services.rpc.server import peer_address
from tests.support.rpc_serving import EXAMPLE, PROCESS, answering, balancer, call, closed_port
from tests.support.shortage import descriptors_left
from tests.support.waiting import eventually

Code = grpc.StatusCode
Answer = Callable[[bytes, object], Awaitable[bytes]]


def named(name: str) -> Answer:
    """Return an Answer that says its name."""

    async def answer(request: bytes, context: object) -> bytes:  # noqa: ARG001
        return name.encode()

    return answer


async def never(request: bytes, context: object) -> bytes:  # noqa: ARG001
    await asyncio.sleep(60)
    return b""


def ending(code: Code, *signed: str) -> Answer:
    """Return an Answer that ends every call with this status, signed or not."""

    async def answer(request: bytes, context: object) -> bytes:  # noqa: ARG001
        await context.abort(code, "as told", tuple(("answered-by", name) for name in signed))  # type: ignore[attr-defined]
        return b""

    return answer


def counts(server: object, letter: int) -> tuple[int, int]:
    """Return attempts and errors at the instance of this number."""
    stats = server.stats()  # type: ignore[attr-defined]
    counted = stats["stats"][stats["instances"][letter]]
    return counted["requests"], counted["errors"]


async def test_calls_on_one_connection_go_round_the_instances() -> None:
    async with (
        answering(named("a")) as a,
        answering(named("b")) as b,
        balancer([a, b]) as (port, server),
    ):
        channel = open_channel(f"127.0.0.1:{port}")
        answers = [await channel.unary_unary(PROCESS)(EXAMPLE) for _ in range(6)]
        await channel.close()
        assert answers == [b"a", b"b"] * 3
        assert counts(server, 0) == counts(server, 1) == (3, 0)


@settings(max_examples=5)
@given(st.lists(st.tuples(st.binary(max_size=2000), st.text("abc", max_size=5)), min_size=1, max_size=20))
async def test_bytes_and_metadata_pass_both_ways_unread(calls: list[tuple[bytes, str]]) -> None:
    async def echo(request: bytes, context: object) -> bytes:
        given = dict(context.invocation_metadata())  # type: ignore[attr-defined]
        context.set_trailing_metadata((("x-back", given["x-there"]),))  # type: ignore[attr-defined]
        return request

    async with answering(echo) as instance, balancer([instance]) as (port, _):
        for request, word in calls:
            ended = await call(port, request, metadata=(("x-there", word),))
            assert (ended.body, ended.metadata) == (request, {"x-back": word})


async def test_a_clients_metadata_passes_without_what_is_of_the_connection() -> None:
    sent = (("tenant-id", "7"), ("te-lemetry", "on"), ("user-agent-hint", "x"), ("content-type-hint", "y"))
    got: dict[str, list[str]] = {}

    async def answer(request: bytes, context: object) -> bytes:  # noqa: ARG001
        for key, value in context.invocation_metadata():  # type: ignore[attr-defined]
            got.setdefault(key, []).append(value)
        return b""

    async with answering(answer) as instance, balancer([instance]) as (port, _):
        await call(port, metadata=(*sent, ("x-bin", b"\x00")))
        assert {key: got[key] for key, _ in sent} == {key: [value] for key, value in sent}
        assert got["x-bin"] == [b"\x00"]
        assert len(got["user-agent"]) == 1


@pytest.mark.parametrize("code", [Code.OK, Code.INVALID_ARGUMENT])
async def test_an_instances_metadata_passes_as_it_is_before_and_after_its_answer(code: Code) -> None:
    before = (("x-first", "1"), ("x-first", "2"), ("x-first-bin", b"\x00\xff"))
    after = (("x-last", "1"), ("x-last", "2"), ("grpc-status-details-bin", b"\x08\x03"))

    async def answer(request: bytes, context: object) -> bytes:
        await context.send_initial_metadata(before)  # type: ignore[attr-defined]
        if code is not Code.OK:
            await context.abort(code, "as told" * 100, after)  # type: ignore[attr-defined]
        context.set_trailing_metadata(after)  # type: ignore[attr-defined]
        return request

    async with answering(answer) as instance, balancer([instance]) as (port, _):
        channel = open_channel(f"127.0.0.1:{port}")
        calling = channel.unary_unary(PROCESS)(EXAMPLE, timeout=20)
        assert await calling.code() is code
        assert code is Code.OK or await calling.details() == "as told" * 100
        assert tuple(await calling.initial_metadata()) == before
        assert tuple(await calling.trailing_metadata()) == after
        await channel.close()


async def test_a_call_fails_over_from_an_instance_that_is_not_there_which_is_then_ejected() -> None:
    async with answering(named("a")) as a, balancer([closed_port(), a]) as (port, server):
        answers = [await call(port) for _ in range(5)]
        assert [ended.body for ended in answers] == [b"a"] * 5
        assert counts(server, 0) == (1, 1)


async def test_when_all_instances_failed_the_call_is_unavailable_and_names_them() -> None:
    async with balancer([closed_port(), closed_port()]) as (port, _):
        ended = await call(port)
        assert ended.code is Code.UNAVAILABLE
        assert "service1a" in ended.details
        assert "service1b" in ended.details
        assert ended.metadata["retry-after"] == "1"
        assert ended.metadata["answered-by"] == "service1-loadbalancer"
        _, events = await ask(port, "GET", "/admin/events")
        retried = [event["instance"] for event in events if event["event"] == "retried"]  # type: ignore[attr-defined]
        assert [label.partition(":")[0] for label in retried] == ["service1a"]  # the second led nowhere


@pytest.mark.parametrize(
    "code", [Code.RESOURCE_EXHAUSTED, Code.INVALID_ARGUMENT, Code.UNAVAILABLE, Code.INTERNAL]
)
async def test_a_status_that_an_instance_signs_passes_through_and_is_tried_once(code: Code) -> None:
    async with answering(ending(code, "service1a")) as a, balancer([a, a]) as (port, server):
        ended = await call(port)
        assert (ended.code, ended.details) == (code, "as told")
        assert sum(counts(server, letter)[0] for letter in (0, 1)) == 1
        assert counts(server, 0)[1] == 0


async def test_an_unsigned_unavailable_is_a_broken_connection_and_tried_elsewhere() -> None:
    async with (
        answering(ending(Code.UNAVAILABLE)) as a,
        answering(named("b")) as b,
        balancer([a, b]) as (port, server),
    ):
        assert (await call(port)).body == b"b"
        assert counts(server, 0) == (1, 1)


async def test_routes_that_are_not_idempotent_are_not_tried_again_once_sent() -> None:
    async with (
        answering(ending(Code.UNAVAILABLE)) as a,
        answering(named("b")) as b,
        balancer([a, b], idempotent=frozenset()) as (port, _),
    ):
        ended = await call(port)
        assert ended.code is Code.UNAVAILABLE
        assert "not idempotent" in ended.details


async def test_without_budget_there_is_no_second_try() -> None:
    async with (
        answering(ending(Code.UNAVAILABLE)) as a,
        answering(named("b")) as b,
        balancer([a, b], retry_ratio=0.0, retry_per_s=0.0) as (port, _),
    ):
        ended = await call(port)
        assert ended.code is Code.UNAVAILABLE
        assert "no budget" in ended.details


async def test_a_try_that_takes_too_long_goes_elsewhere() -> None:
    async with (
        answering(never) as a,
        answering(named("b")) as b,
        balancer([a, b]) as (port, server),
    ):
        shared = server._balancer
        shared.try_timeout_s = 0.3  # for the first try; the second has all the time it needs
        log_event = shared.on_event

        def on_event(event: Event) -> None:
            shared.try_timeout_s = 30.0
            log_event(event)

        shared.on_event = on_event  # type: ignore[method-assign]
        assert (await call(port)).body == b"b"
        assert counts(server, 0) == (1, 1)


async def test_the_clients_own_deadline_is_not_held_against_the_instance() -> None:
    async with answering(never) as a, balancer([a], failures=1) as (port, server):
        async with asyncio.timeout(30):
            while counts(server, 0)[0] < 2:  # some may be over before they reach the balancer
                assert (await call(port, timeout=0.2)).code is Code.DEADLINE_EXCEEDED
                await eventually(lambda: server.in_flight == 0)
        assert counts(server, 0)[1] == 0
        assert server._balancer.log.last() == []


async def test_a_balancer_out_of_descriptors_says_so_and_blames_no_instance() -> None:
    async with (
        answering(named("a")) as a,
        balancer([a], failures=1) as (port, server),
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        await channel.channel_ready()
        ask = channel.unary_unary(PROCESS)
        with descriptors_left(0), pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(EXAMPLE, timeout=30)
        assert caught.value.code() is Code.UNAVAILABLE
        assert "the balancer is out of descriptors" in str(caught.value.details())
        assert counts(server, 0) == (0, 0)
        assert server._balancer.counters.shortages["out of descriptors"] == 1
        assert [event["event"] for event in server._balancer.log.last()] == ["short"]


async def test_checks_free_what_waits_for_the_instance_that_they_eject() -> None:
    async with (
        answering(never) as a,
        answering(named("b")) as b,
        balancer([a, b]) as (port, server),
    ):
        calling = asyncio.ensure_future(call(port))
        await eventually(lambda: server.in_flight == 1)
        frozen, _ = server._balancer.instances
        for _ in range(3):
            server._balancer.checked(frozen, healthy=False, now=time.monotonic())
        assert (await calling).body == b"b"
        assert counts(server, 0) == (1, 1)
        assert server._balancer.counters.failures[frozen.label, "ejected"] == 1


async def test_what_is_not_idempotent_stays_with_the_instance_that_checks_ejected() -> None:
    thawed = asyncio.Event()

    async def frozen(request: bytes, context: object) -> bytes:  # noqa: ARG001
        await thawed.wait()
        return b"a"

    async with (
        answering(frozen) as a,
        answering(named("b")) as b,
        balancer([a, b], idempotent=frozenset()) as (port, server),
    ):
        calling = asyncio.ensure_future(call(port))
        await eventually(lambda: server.in_flight == 1)
        first, _ = server._balancer.instances
        for _ in range(3):
            server._balancer.checked(first, healthy=False, now=time.monotonic())
        thawed.set()
        assert (await calling).body == b"a"


def forwards() -> int:
    """How many calls there are, garbage included."""
    return sum(isinstance(each, GrpcForward) for each in gc.get_objects())


@pytest.mark.parametrize("what", ["an answer", "all fail", "not tried again", "no room", "a deadline"])
async def test_no_call_that_is_over_waits_for_garbage_to_be_collected(what: str) -> None:
    answer = {"an answer": named("a"), "no room": never, "a deadline": never}.get(
        what, ending(Code.UNAVAILABLE)
    )
    options: dict[str, object] = {"timeout": 0.2} if what == "a deadline" else {}
    rules: dict[str, object] = {"idempotent": frozenset()} if what == "not tried again" else {}
    if what == "no room":
        rules = {"in_flight_limit": 1, "policy": PolicyName.CENTRAL_QUEUE, "queue_timeout_s": 0.1}
    async with answering(answer) as a, balancer([a], **rules) as (port, server):
        holding = None
        if what == "no room":
            holding = asyncio.ensure_future(call(port))
            await eventually(lambda: server.in_flight == 1)
        gc.disable()
        try:
            before = forwards()
            await call(port, **options)
            await eventually(lambda: forwards() == before)
        finally:
            gc.enable()
            if holding is not None:
                holding.cancel()
                await asyncio.wait([holding])


async def test_a_client_that_gives_up_frees_the_instance() -> None:
    async with answering(never) as a, balancer([a]) as (port, server):
        calling = asyncio.ensure_future(call(port))
        await eventually(lambda: server.in_flight == 1)
        calling.cancel()
        await eventually(lambda: server.in_flight == 0)
        assert counts(server, 0) == (1, 0)


async def test_the_central_queue_holds_calls_until_there_is_room() -> None:
    room = asyncio.Event()
    inside: list[int] = []

    async def answer(request: bytes, context: object) -> bytes:  # noqa: ARG001
        inside.append(1)
        assert len(inside) == 1
        await room.wait()
        inside.pop()
        return b"done"

    async with answering(answer) as a, balancer([a], policy=PolicyName.CENTRAL_QUEUE) as (port, server):
        calls = [asyncio.ensure_future(call(port)) for _ in range(4)]
        await eventually(lambda: server.in_flight == 1 and server.waiting == 3)
        room.set()
        assert [(await each).body for each in calls] == [b"done"] * 4


async def test_a_call_that_waits_too_long_for_room_is_told_to_come_back() -> None:
    async with (
        answering(never) as a,
        balancer([a], in_flight_limit=1, queue_timeout_s=0.1) as (port, server),
    ):
        first = asyncio.ensure_future(call(port))
        await eventually(lambda: server.in_flight == 1)
        ended = await call(port)
        assert ended.code is Code.RESOURCE_EXHAUSTED
        assert ended.metadata["retry-after"] == "1"
        first.cancel()
        await asyncio.wait([first])


async def test_active_checks_eject_an_instance_that_is_not_there() -> None:
    async with (
        answering(named("a")) as a,
        balancer([a, closed_port()], check_interval_s=0.02, check_timeout_s=30.0, fall=2) as (port, _),
    ):
        async with asyncio.timeout(20):
            while (await states(port))["service1b"] != "ejected":  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await states(port))["service1a"] == "serving"


async def ask(port: int, method: str, path: str, content: object = None) -> tuple[int, object]:
    """Make an Admin call; return its status and content."""
    body = b"" if content is None else json.dumps(content).encode()
    request = pb.AdminRequest(method=method, path=path, body=body).SerializeToString()
    answer = pb.AdminResponse.FromString((await call(port, request, "/pipeline.Admin/Ask")).body)
    return answer.status, json.loads(answer.body)


async def states(port: int) -> dict[str, str]:
    """Return the states by name of instance."""
    _, instances = await ask(port, "GET", "/admin/instances")
    return {instance["name"]: instance["state"] for instance in instances}  # type: ignore[attr-defined]


async def test_stats_are_those_of_the_http_balancer() -> None:
    async with answering(named("a")) as a, balancer([a]) as (port, server):
        await call(port)
        stats = pb.StatsResponse.FromString((await call(port, b"", "/pipeline.Balancer/Stats")).body)
        label = f"service1a:{a}"
        assert list(stats.instances) == [label]
        assert (stats.stats[label].requests, stats.stats[label].errors) == (1, 0)
        documented = {"instances": [label], "stats": {label: {"requests": 1, "errors": 0}}}
        assert await ask(port, "GET", "/stats") == (200, documented)
        assert server.stats() == documented


async def test_a_balancer_that_is_to_be_unready_first_says_so_and_goes_on_answering() -> None:
    async def status(port: int) -> int:
        ended = await call(port, b"", "/grpc.health.v1.Health/Check")
        return int(health_pb2.HealthCheckResponse.FromString(ended.body).status)

    async with answering(named("a")) as a, balancer([a], unready_s=1000.0) as (port, server):
        assert await status(port) == health_pb2.HealthCheckResponse.SERVING
        stopping = asyncio.ensure_future(server.stop(5))
        await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while await status(port) != health_pb2.HealthCheckResponse.NOT_SERVING:
                pass
        assert (await ask(port, "GET", "/health"))[0] == 503
        assert (await call(port)).body == b"a"
        stopping.cancel()
        server.abort()
        await asyncio.wait([stopping])


async def test_instances_come_and_go_while_it_runs() -> None:
    async with answering(named("a")) as a, answering(named("b")) as b, balancer([a]) as (port, _):
        assert (await ask(port, "POST", "/admin/instances", {"name": "new", "port": b}))[0] == 201
        assert {(await call(port)).body for _ in range(4)} == {b"a", b"b"}
        assert (await ask(port, "DELETE", "/admin/instances/service1a"))[0] == 200
        assert {(await call(port)).body for _ in range(4)} == {b"b"}


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:50123", "127.0.0.1"),
        ("ipv6:%5B::1%5D:50123", "::1"),
        ("ipv6:[::1]:50123", "::1"),
        ("unix:/run/socket", ""),
    ],
)
def test_access_to_changes_is_decided_by_the_peers_address(peer: str, address: str) -> None:
    assert peer_address(peer) == address


async def test_what_is_no_admin_request_is_an_invalid_argument() -> None:
    async with balancer([]) as (port, _):
        for request in (b"\xff", pb.AdminRequest(method="GET", path="/é").SerializeToString()):
            ended = await call(port, request, "/pipeline.Admin/Ask")
            assert ended.code is Code.INVALID_ARGUMENT
        assert (await call(port)).code is Code.UNAVAILABLE
