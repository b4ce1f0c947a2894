"""The documented pipeline in one thread answers, survives faults and bad requests, and grows."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

import lab
from lab.errors import BadParameter
from services.wire.client import WireClient
from tests.support.placing import JSON, attempts, claimed
from tests.support.waiting import eventually, wait_until

EXAMPLE = {"text": "The cat, the CAT", "request_id": "r1"}
WORK = lab.Work(mean_ms=2, slots=8)


@pytest.fixture(scope="module")
def parallel() -> Iterator[lab.Running]:
    with claimed(lab.Topology.parallel().with_work(WORK)) as topology, lab.start(topology) as running:
        yield running


@pytest.fixture(scope="module")
def sequential() -> Iterator[lab.Running]:
    with claimed(lab.Topology.sequential().with_work(WORK)) as topology, lab.start(topology) as running:
        yield running


async def post(url: str, body: object = EXAMPLE) -> tuple[int, object]:
    async with WireClient() as client:
        answer = await client.post(url, json.dumps(body).encode(), JSON)
        return answer.status, json.loads(answer.body)


async def statuses_under_load(url: str, action: Callable[[], None], concurrency: int = 8) -> Counter[object]:
    """Return what `concurrency` requests at a time are answered before, during and after an action."""
    seen: Counter[object] = Counter()
    over = False

    async def keep_posting(client: WireClient) -> None:
        while not over:
            try:
                seen[(await client.post(url, json.dumps(EXAMPLE).encode(), JSON)).status] += 1
            except Exception as error:
                seen[repr(error)] += 1

    async def more() -> None:
        enough = seen.total() + 10 * concurrency
        await eventually(lambda: seen.total() >= enough)

    async with WireClient() as client, asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(keep_posting(client))
        await more()
        await asyncio.to_thread(action)
        await more()
        over = True
    return seen


@pytest.mark.parametrize("which", ["sequential", "parallel"])
async def test_the_documented_example_is_answered_as_documented(
    request: pytest.FixtureRequest, which: str
) -> None:
    status, body = await post(request.getfixturevalue(which).entry_url)
    assert status == 200
    assert isinstance(body, dict)
    assert {key: body[key] for key in ("status", "word_count", "top_words")} == {
        "status": "success",
        "word_count": 4,
        "top_words": [["the", 2], ["cat", 2]],
    }


async def test_statistics_have_the_documented_shape_and_count_every_request(parallel: lab.Running) -> None:
    def totals() -> list[int]:
        return [sum(attempts(parallel, f"service{n}").values()) for n in (1, 2, 3, 4)]

    before = totals()
    for _ in range(5):
        await post(parallel.entry_url)
    assert totals() == [count + 5 for count in before]
    stats = parallel.stats()["service1-loadbalancer"]
    labels = [f"{i.name}:{i.port}" for i in parallel.topology.service("service1").instances]
    assert set(stats) == {"instances", "stats"}
    assert stats["instances"] == labels
    assert set(stats["stats"]) == set(labels)


def test_a_topology_without_balancers_has_no_statistics(sequential: lab.Running) -> None:
    assert sequential.stats() == {}


async def test_killing_one_instance_of_every_service_under_load_fails_no_request(
    parallel: lab.Running,
) -> None:
    victims = [service.instances[1].name for service in parallel.topology.services]

    def kill() -> None:
        for name in victims:
            parallel.kill(name)

    seen = await statuses_under_load(parallel.entry_url, kill)
    for name in victims:
        parallel.restart(name)
    assert set(seen) == {200}


async def test_restarting_an_instance_of_every_service_under_load_fails_no_request(
    parallel: lab.Running,
) -> None:
    def restart() -> None:
        for service in parallel.topology.services:
            parallel.restart(service.instances[2].name)

    assert set(await statuses_under_load(parallel.entry_url, restart)) == {200}


async def test_a_fifth_instance_joins_under_load_and_leaves_again_without_a_failed_request(
    parallel: lab.Running,
) -> None:
    def grow_and_shrink() -> None:
        instance = parallel.add_instance("service2")
        assert instance.name == "service2e"
        wait_until(lambda: attempts(parallel, "service2")["service2e"] > 0)
        parallel.remove_instance("service2e")

    before = parallel.topology
    assert set(await statuses_under_load(parallel.entry_url, grow_and_shrink)) == {200}
    assert parallel.topology == before


async def test_a_balancer_that_restarts_knows_the_instances_added_while_it_was_down(
    parallel: lab.Running,
) -> None:
    instance = parallel.add_instance("service3")
    parallel.kill("service3-loadbalancer")
    assert "service3-loadbalancer" not in parallel.stats()
    parallel.restart("service3-loadbalancer")
    assert f"service3e:{instance.port}" in parallel.stats()["service3-loadbalancer"]["instances"]
    parallel.remove_instance("service3e")
    assert (await post(parallel.entry_url))[0] == 200


def test_instances_cannot_come_or_go_where_no_balancer_would_know(sequential: lab.Running) -> None:
    with pytest.raises(BadParameter, match="no balancer"):
        sequential.add_instance("service1")
    with pytest.raises(BadParameter, match="no balancer"):
        sequential.remove_instance("service1")
    with pytest.raises(BadParameter, match="service9"):
        sequential.add_instance("service9")


async def test_no_blow_to_one_service_takes_the_pipeline_with_it(sequential: lab.Running) -> None:
    sequential.kill("service3")
    status, body = await post(sequential.entry_url)
    assert status == 502
    assert "service3" in str(body)
    sequential.restart("service3")
    assert (await post(sequential.entry_url))[0] == 200


BAD_REQUESTS = {
    "broken JSON": b'{"text": "x", "request_id":',
    "no JSON at all": b"\xff\xfe\x00",
    "an empty body": b"",
    "a wrong type": b'{"text": 1, "request_id": []}',
    "a missing field": b'{"text": "x"}',
    "deep nesting": b"[" * 20_000,
    "half a surrogate": b'{"text": "\\ud800", "request_id": 1}',
}


def bad_requests(path: str) -> Iterator[bytes]:
    """Whole requests, as bytes on the wire, that deserve a 4xx."""
    for body in BAD_REQUESTS.values():
        yield b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (
            path.encode(),
            len(body),
            body,
        )
    yield b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    for method in (b"GET", b"PUT", b"DELETE", b"PATCH"):
        yield b"%b %b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % (method, path.encode())
    yield b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n" % path.encode()
    yield b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n" % path.encode()
    yield b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % path.encode()
    yield b"nonsense\r\n\r\n"
    yield b"POST %b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (path.encode(), b"x" * 200_000)


def answer(port: int, request: bytes, *, half_close: bool) -> bytes:
    """All that a server says to these bytes until it closes or has answered; empty where it just closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        try:
            sock.sendall(request)
            if half_close:
                sock.shutdown(socket.SHUT_WR)
            return sock.recv(65536)
        except ConnectionError:  # it had seen enough before all was sent
            return b""


@pytest.mark.parametrize("which", ["sequential", "parallel"])
async def test_mixed_bad_requests_to_every_port_are_answered_4xx_and_everything_still_serves(
    request: pytest.FixtureRequest, which: str
) -> None:
    running: lab.Running = request.getfixturevalue(which)
    draw = random.Random(0)
    refused: Counter[bytes] = Counter()
    for service in running.topology.services:
        servers = [*service.instances, *([service.balancer] if service.balancer else [])]
        for server in servers:
            for bad in bad_requests(service.path):
                said = answer(server.port, bad, half_close=draw.random() < 0.3)
                assert said == b"" or said.startswith(b"HTTP/1.1 4"), (server.name, bad[:60], said)
                refused[said[9:12]] += 1
            assert (await post(f"http://127.0.0.1:{server.port}{service.path}", example_for(service.path)))[
                0
            ] == 200
    assert refused.keys() - {b""} >= {b"400", b"404", b"405", b"413", b"422"}


def example_for(path: str) -> object:
    if path == "/report":
        analysis = {"word_count": 4, "top_words": [["the", 2], ["cat", 2]], "unique_words": 2}
        return {"analysis": analysis, "request_id": "r1"}
    return EXAMPLE
