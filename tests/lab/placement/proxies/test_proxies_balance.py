"""What every external load balancer does for requests, the program itself running."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from lab.errors import PlacementError
from lab.names import BalancerName
from lab.placement.proxies import PROXIES, Profile
from services.balancer.settings import PolicyName
from tests.support.scripted_instances import WebSocket, ask
from tests.support.waiting import wait_until

every = pytest.mark.parametrize("name", PROXIES)
RETRIES_SENT = [name for name in PROXIES if name is not BalancerName.TRAEFIK]
LIMITS_BODIES = RETRIES_SENT
"""Traefik does neither: see its docstring."""


@every
def test_round_robin_gives_every_instance_the_same(name, start_proxy, instances) -> None:
    proxy = start_proxy(name)
    assert {ask(proxy).status for _ in range(12)} == {200}
    assert instances.counts() == {"service1a": 4, "service1b": 4, "service1c": 4}


@every
def test_weights_are_heeded_where_the_policy_says_so(name, start_proxy, instances) -> None:
    proxy = start_proxy(name, policy=PolicyName.WEIGHTED_ROUND_ROBIN, weights=(1, 2, 1))
    for _ in range(16):
        ask(proxy)
    assert instances.counts() == {"service1a": 4, "service1b": 8, "service1c": 4}


@pytest.mark.parametrize(
    ("name", "policy"), [(name, policy) for name in PROXIES for policy in PROXIES[name].policies]
)
def test_every_policy_it_has_serves_and_counts(name, policy, start_proxy, instances) -> None:
    proxy = start_proxy(name, policy=policy)
    assert [ask(proxy).status for _ in range(10)] == [200] * 10
    counted = proxy.stats()["stats"]
    assert {
        label.partition(":")[0]: count["requests"] for label, count in counted.items()
    } == instances.counts()


@pytest.mark.parametrize("name", [n for n in PROXIES if PolicyName.LEAST_CONNECTIONS in PROXIES[n].policies])
def test_least_connections_avoids_the_instance_that_is_busy(name, start_proxy, instances) -> None:
    proxy = start_proxy(name, policy=PolicyName.LEAST_CONNECTIONS)
    everyone = " ".join(instances.by_name)
    held = threading.Thread(target=ask, args=(proxy,), kwargs={"X_Hold": everyone})
    held.start()
    wait_until(lambda: sum(instances.counts().values()) == 1)
    busy = next(name for name, count in instances.counts().items() if count)
    for _ in range(8):
        ask(proxy)
    instances.let_go(busy)
    held.join()
    assert instances.counts()[busy] == 1


def test_the_central_queue_of_haproxy_gives_no_instance_two_at_once(start_proxy, instances) -> None:
    proxy = start_proxy(BalancerName.HAPROXY, policy=PolicyName.CENTRAL_QUEUE)
    everyone = " ".join(instances.by_name)
    callers = [threading.Thread(target=ask, args=(proxy,), kwargs={"X_Hold": everyone}) for _ in range(9)]
    for caller in callers:
        caller.start()
    wait_until(lambda: instances.counts() == dict.fromkeys(instances.by_name, 1))
    for instance in instances.by_name:
        instances.let_go(instance)
    for caller in callers:
        caller.join()
    assert sum(instances.counts().values()) == 9
    assert {instance.most_in_flight for instance in instances.by_name.values()} == {1}


@every
def test_a_websocket_goes_through_and_is_counted_as_one_attempt(name, start_proxy, instances) -> None:
    proxy = start_proxy(name)
    websocket = WebSocket(proxy.settings.port)
    assert websocket.head[0].startswith("HTTP/1.1 101 ")
    headers = {key.lower(): value.strip() for key, _, value in (h.partition(":") for h in websocket.head[1:])}
    assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (headers["upgrade"], headers["connection"].lower()) == ("websocket", "upgrade")
    assert [websocket.say(text) for text in (b"Hello", b"", b"x" * 125)] == [b"Hello", b"", b"x" * 125]
    assert websocket.close()
    assert sum(instances.counts().values()) == 1
    assert ask(proxy).status == 200


@every
def test_a_wish_for_http_2_is_ignored(name, start_proxy, instances) -> None:
    wish = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAABkAAQAoAAA"}
    assert ask(start_proxy(name), **wish).status == 200
    assert sum(instances.counts().values()) == 1


@every
@pytest.mark.parametrize("profile", Profile)
def test_stats_have_the_documented_shape_over_http_too(name, profile, start_proxy, instances) -> None:
    proxy = start_proxy(name, profile)
    for _ in range(6):
        ask(proxy)
    labels = {instance.name: f"{instance.name}:{instance.port}" for instance in instances.by_name.values()}
    counts = {labels[name]: {"requests": count, "errors": 0} for name, count in instances.counts().items()}
    stats = ask(proxy, "/stats", None).json
    assert stats == proxy.stats() == {"instances": list(labels.values()), "stats": counts}


@every
@pytest.mark.parametrize("profile", Profile)
def test_health_is_answered_as_documented(name, profile, start_proxy) -> None:
    reply = ask(start_proxy(name, profile), "/health", None)
    assert reply.json == {"status": "healthy", "service": "service1-loadbalancer"}
    assert reply.headers["content-type"] == "application/json"


@every
def test_no_request_fails_where_an_instance_refuses(name, start_proxy, instances) -> None:
    proxy = start_proxy(name)
    instances.close("service1b")
    assert {ask(proxy).status for _ in range(12)} == {200}
    count = proxy.stats()["stats"][f"service1b:{instances['service1b'].port}"]
    assert count["requests"] == count["errors"]
    assert instances.counts()["service1b"] == 0


@pytest.mark.parametrize("name", RETRIES_SENT)
def test_what_was_sent_in_vain_is_tried_once_at_each_until_one_answers(
    name,
    start_proxy,
    instances,
) -> None:
    proxy = start_proxy(name)
    reply = ask(proxy, X_Drop="service1a service1b")
    assert reply.json == {"instance": "service1c"}
    assert instances.counts()["service1c"] == 1
    assert max(instances.counts().values()) == 1
    errors = {label.partition(":")[0]: count["errors"] for label, count in proxy.stats()["stats"].items()}
    assert errors == {**instances.counts(), "service1c": 0}


@pytest.mark.parametrize("name", RETRIES_SENT)
def test_on_another_route_what_was_sent_is_not_tried_again(name, start_proxy, instances) -> None:
    proxy = start_proxy(name, idempotent=frozenset(("/process",)))
    assert ask(proxy, "/pay", X_Drop=" ".join(instances.by_name)).status in (502, 503)
    assert sum(instances.counts().values()) == 1


@every
def test_where_all_instances_refuse_the_answer_says_so_at_once(name, start_proxy, instances) -> None:
    proxy = start_proxy(name)
    for instance in instances.by_name:
        instances.close(instance)
    reply = ask(proxy)
    if name is BalancerName.TRAEFIK:
        assert reply.status in (502, 503)
        return
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert "service1a" in reply.json["detail"]


@every
def test_a_status_of_an_instance_passes_through_with_its_body(name, start_proxy, instances) -> None:
    proxy = start_proxy(name)
    replies = [ask(proxy, X_Status=status) for status in ("500", "502", "503", "504")]
    assert [(reply.status, *reply.json) for reply in replies] == [
        (s, "instance") for s in (500, 502, 503, 504)
    ]
    assert sum(instances.counts().values()) == 4


@every
def test_headers_pass_and_instances_are_kept_connected_to(name, start_proxy, instances) -> None:
    proxy = start_proxy(name)
    replies = [ask(proxy, X_Request_ID=f"r{n}", X_Other="there") for n in range(12)]
    requests = [request for instance in instances.by_name.values() for request in instance.requests]
    assert {reply.headers["server-timing"] for reply in replies} == {"service1-work;dur=40.3"}
    assert {request.head["x-request-id"] for request in requests} == {f"r{n}" for n in range(12)}
    assert {request.head["x-other"] for request in requests} == {"there"}
    assert {request.head["via"].lower() for request in requests} == {"1.1 service1-loadbalancer"}
    assert {request.head["x-forwarded-for"] for request in requests} == {"127.0.0.1"}
    assert {request.version for request in requests} == {"HTTP/1.1"}
    # Not one for each instance: a proxy may want the next before it has put the last one back.
    assert len({request.connection for request in requests}) < len(requests)


@every
def test_bodies_of_any_size_arrive_whole_both_ways(name, start_proxy) -> None:
    proxy = start_proxy(name)
    for size in (0, 1, 70_000, 1 << 20, 3 << 20):
        body = random.Random(size).randbytes(size)
        reply = ask(proxy, body=body, X_Echo="yes")
        assert (reply.status, reply.body == body) == (200, True), f"{size} bytes"


@pytest.mark.parametrize("name", LIMITS_BODIES)
def test_a_body_over_the_limit_goes_nowhere(name, start_proxy, instances) -> None:
    proxy = start_proxy(name, body_limit_bytes=1000)
    assert ask(proxy, body=b"x" * 1000).status == 200
    reply = ask(proxy, body=b"x" * 1001)
    assert reply.status == 413
    assert "limit of 1000 bytes" in reply.json["detail"]
    assert sum(instances.counts().values()) == 1


@every
def test_an_instance_that_is_back_is_used_again(name, start_proxy, instances) -> None:
    proxy = start_proxy(name, check_interval_s=0.1, backoff_s=0.1)
    drops: dict[str, Any] = {"X_Drop": "service1a service1b service1c"}
    for _ in range(6):
        ask(proxy, **drops)
    before = instances.counts()

    def used_again() -> bool:
        ask(proxy)
        return all(count > before[instance] for instance, count in instances.counts().items())

    wait_until(used_again)


@every
def test_one_that_was_killed_gives_no_counts(name, start_proxy) -> None:
    proxy = start_proxy(name)
    proxy.kill()
    with pytest.raises(PlacementError, match="service1-loadbalancer"):
        proxy.stats()
