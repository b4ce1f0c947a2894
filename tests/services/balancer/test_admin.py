"""What a balancer says of itself, and how its instances change while it runs."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.balancer import admin
from services.balancer.admin import AdminAccess
from services.wire import Connection
from tests.support.balancing import Instance, balanced, echo, post, silent
from tests.support.waiting import eventually

JSON = "Content-Type: application/json\r\n"


@pytest.fixture(autouse=True)
def fresh_metrics(monkeypatch):
    monkeypatch.setattr(admin, "KEPT_S", 0.0)


def get(path, method="GET", body=None, headers=None):
    length = f"Content-Length: {len(body)}\r\n" if body is not None else ""
    said = headers if headers is not None else JSON if body else ""
    host = "" if said.startswith("Host:") else "Host: localhost\r\n"
    return f"{method} {path} HTTP/1.1\r\n{host}{length}{said}\r\n".encode() + (body or b"")


async def samples(b):
    text = (await b.ask(get("/metrics"))).body.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_stats_are_exactly_as_documented():
    async with balanced(echo, echo) as b:
        for _ in range(3):
            await b.ask(post())
        await b.instances[1].kill()
        await b.ask(post())
        first, second = (f"{instance.name}:{instance.port}" for instance in b.instances)
        answer = await b.ask(get("/stats"))
        assert answer.header("Content-Type") == "application/json"
        assert json.loads(answer.body) == {
            "instances": [first, second],
            "stats": {first: {"requests": 3, "errors": 0}, second: {"requests": 2, "errors": 1}},
        }


async def test_health_names_the_balancer_and_does_not_depend_on_instances():
    async with balanced() as b:
        answer = await b.ask(get("/health?x=1"))
        assert answer.status == 200
        assert json.loads(answer.body) == {"status": "healthy", "service": "service1-loadbalancer"}
        assert (await b.ask(get("/health", "HEAD"), is_head=True)).status == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/stats", "POST", b""), 405),
        (get("/admin/instances/x"), 405),
        (get("/admin/nothing"), 404),
        (get("/admin/instances/x", "DELETE"), 404),
        (get("/admin/instances", "POST", b"no JSON"), 422),
        (get("/admin/instances", "POST", b"[]"), 422),
        (get("/admin/instances", "POST", b'{"name": "x"}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": "8071"}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": true}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": 0}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": 8071, "weight": 0}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x y", "port": 8071}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": 8071, "host": ""}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": 8071, "host": "a b"}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": 8071, "host": "a/b"}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": 8071, "host": "[::1]"}'), 422),
        (get("/admin/instances", "POST", b'{"name": "x", "port": 8071, "colour": "red"}'), 422),
        (get("/admin/instances", "POST", b"[" * 100_000), 422),
    ],
)
async def test_what_makes_no_sense_is_refused_with_a_reason(request_, status):
    async with balanced(echo) as b:
        answer = await b.ask(request_)
        assert answer.status == status
        assert json.loads(answer.body)["detail"]
        assert b.instances[0].requests == []


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 415),
        ("Content-Type: text/plain\r\n", 415),
        ("Content-Type: text/plain; application/json\r\n", 415),
        (f"{JSON}Content-Type: text/plain\r\n", 415),
        (f"{JSON}Origin: http://evil.example\r\n", 403),
        (f"{JSON}ORIGIN: null\r\n", 403),
        ("content-type:  Application/JSON;charset=utf-8 \r\n", 201),
    ],
)
async def test_no_web_page_may_add_an_instance(headers, status):
    """A page may post text anywhere unasked, but JSON only where it is allowed, and always with an Origin."""

    async with balanced() as b:
        body = b'{"name": "new", "port": 9}'
        answer = await b.ask(get("/admin/instances", "POST", body, headers))
        assert answer.status == status
        assert (json.loads((await b.ask(get("/stats"))).body)["instances"] == ["new:9"]) is (status == 201)


async def test_no_web_page_may_remove_an_instance():
    async with balanced(echo) as b:
        asked = get("/admin/instances/service1a", "DELETE", headers="Origin: http://evil.example\r\n")
        assert (await b.ask(asked)).status == 403
        assert len(b.counts()) == 1


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.168.1.7", False),
        ("::ffff:192.168.1.7", False),
        ("fe80::1%eth0", False),
        ("0.0.0.0", False),
        ("unknown", False),
    ],
)
def test_only_from_the_same_machine_may_instances_be_changed(address, may):
    objection = AdminAccess(address).objection(b"{}")
    assert (objection is None) is may
    assert may or objection[0] == 403


ADDED = b'{"name": "new", "port": 9}'


async def adds(b, headers):
    """Return the status of an attempt to add an instance, which is there after it only if it says so."""
    status = (await b.ask(get("/admin/instances", "POST", ADDED, headers + JSON))).status
    assert (b.server.stats()["instances"] == ["new:9"]) is (status == 201)
    return status


@pytest.mark.parametrize(
    "headers",
    [
        "X-Forwarded-For: 203.0.113.7\r\n",
        "x-forwarded-for:\r\n",
        "Forwarded: for=203.0.113.7\r\n",
        "Via: 1.1 front\r\n",
        "X-Forwarded-Host: shop.example\r\n",
        "X-Forwarded-Proto: https\r\n",
        "X-Real-IP: 203.0.113.7\r\n",
        "Origin: http://evil.example\r\nConnection: Origin\r\n",
        "X-Forwarded-For: 203.0.113.7\r\nConnection: close, X-Forwarded-For\r\n",
        "Forwarded: for=203.0.113.7\r\nConnection: forwarded\r\n",
        "Connection: via\r\nVia: 1.1 front\r\n",
        "Host: shop.example\r\n",
        "Host: evil.localhost\r\n",
        "Host: localhost.evil.example\r\n",
        "Host: 192.168.1.7:8061\r\n",
        "Host: 0.0.0.0:8061\r\n",
    ],
)
async def test_what_came_through_a_proxy_or_under_another_name_changes_nothing(headers):
    async with balanced() as b:
        assert await adds(b, headers) == 403


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8061", "localhost.", "127.0.0.1:8061", "127.1.2.3", "[::1]:8061", "[::1]"],
)
async def test_under_the_names_of_this_machine_instances_are_changed(host):
    async with balanced() as b:
        assert await adds(b, f"Host: {host}\r\n") == 201


async def test_a_url_decides_under_which_name_it_is_asked():
    async with balanced() as b:
        for url, status in (("http://evil.example", 403), ("http://127.0.0.1:8061", 201)):
            head = (
                f"POST {url}/admin/instances HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: 26\r\n\r\n"
            )
            assert (await b.ask(head.encode() + ADDED)).status == status


async def test_a_request_without_a_host_changes_nothing():
    async with balanced() as b:
        head = f"POST /admin/instances HTTP/1.0\r\n{JSON}Content-Length: 26\r\n\r\n"
        assert (await b.ask(head.encode() + ADDED)).status == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("", 401),
        ("Authorization: Bearer wrong\r\n", 401),
        ("Authorization: Bearer\r\n", 401),
        ("Authorization: Basic s3cret\r\n", 401),
        ("Authorization: s3cret\r\n", 401),
        ("Authorization: Bearer s3cret\xe4\r\n", 401),
        ("Authorization: Bearer s3cret\r\nAuthorization: Bearer wrong\r\n", 401),
        ("Authorization: Bearer s3cret\r\n", 201),
        ("authorization: bearer  s3cret\r\n", 201),
        ("Authorization: Bearer s3cret\r\nVia: 1.1 front\r\nX-Forwarded-For: a\r\n", 201),
        ("Host: shop.example\r\nAuthorization: Bearer s3cret\r\n", 201),
    ],
)
async def test_where_there_is_a_token_it_alone_decides(headers, status):
    async with balanced(admin_token="s3cret") as b:
        assert await adds(b, headers) == status


async def test_who_lacks_the_token_learns_how_it_is_sent():
    async with balanced(echo, admin_token="s3cret") as b:
        answer = await b.ask(get("/admin/instances/service1a", "DELETE"))
        assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")
        assert "Authorization: Bearer" in json.loads(answer.body)["detail"]
        assert (await b.ask(get("/admin/instances"))).status == 200


def test_a_token_opens_to_other_machines_and_sends_json_all_the_same():
    known = AdminAccess("192.168.1.7", "shop.example", authorization="Bearer s3cret")
    assert known.objection(b"{}", "s3cret") is None
    assert replace(known, sends_json=False).objection(b"{}", "s3cret")[0] == 415
    assert AdminAccess("127.0.0.1").objection(b"{}", "s3cret")[0] == 401


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/health", "GET, HEAD"),
        ("OPTIONS", "/stats", "GET, HEAD"),
        ("PUT", "/metrics", "GET, HEAD"),
        ("DELETE", "/admin/events", "GET, HEAD"),
        ("DELETE", "/admin/instances", "GET, HEAD, POST"),
        ("GET", "/admin/instances/service1a", "DELETE"),
    ],
)
async def test_a_method_that_is_not_for_a_route_is_told_which_are(method, path, allowed):
    async with balanced() as b:
        answer = await b.ask(get(path, method, headers=""))
        assert (answer.status, answer.header("Allow")) == (405, allowed)


@pytest.mark.parametrize("request_", [get("/health"), get("/x"), b"GET / HTTP/1.1\r\n\r\n", get("/admin/x")])
async def test_the_balancers_own_answers_have_a_date(request_):
    async with balanced() as b:
        date = (await b.ask(request_)).header("Date")
        assert abs(parsedate_to_datetime(date).timestamp() - time.time()) < 60


async def test_an_instance_is_added_and_removed_under_load_and_no_request_fails():
    async def brief(request):
        await asyncio.sleep(0.002)
        await echo(request)

    more = Instance("service1c", brief)
    await more.start()
    async with balanced(brief, brief) as b:
        bodies, statuses, stop = set(), set(), asyncio.Event()

        async def load():
            client = await b.client()
            while not stop.is_set():
                client.send(post(b""))
                answer = await client.answer()
                statuses.add(answer.status)
                bodies.add(answer.body)

        loads = [asyncio.ensure_future(load()) for _ in range(4)]
        added = {"name": "service1c", "port": more.port, "weight": 2}
        answer = await b.ask(get("/admin/instances", "POST", json.dumps(added).encode()))
        assert answer.status == 201
        assert (await b.ask(get("/admin/instances", "POST", json.dumps(added).encode()))).status == 409
        await eventually(lambda: b"service1c:" in bodies)
        removed = next(i for i in b.server.balancer.instances if i.name == "service1a")
        assert (await b.ask(get("/admin/instances/service1a", "DELETE"))).status == 200
        await eventually(lambda: not removed.in_flight)
        seen, elsewhere = len(b.instances[0].requests), len(more.requests)
        await eventually(lambda: len(more.requests) > elsewhere + 20)
        stop.set()
        await asyncio.gather(*loads)
        assert len(b.instances[0].requests) == seen
        assert statuses == {200}
        listed = json.loads((await b.ask(get("/admin/instances"))).body)
        assert [(i["name"], i["weight"], i["state"], i["in_flight"]) for i in listed] == [
            ("service1b", 1, "serving", 0),
            ("service1c", 2, "serving", 0),
        ]
    await more.kill()


async def test_a_request_goes_elsewhere_whose_instance_is_removed_while_it_is_being_connected_to(monkeypatch):
    connect = Connection.open

    async with balanced(echo, echo, idempotent=frozenset()) as b:
        slow = b.instances[0].port

        async def open_(host, port, **rest):
            if port == slow:
                await asyncio.Event().wait()
            return await connect(host, port, **rest)

        monkeypatch.setattr(Connection, "open", open_)
        on_its_way = asyncio.ensure_future(b.ask(post(b"x")))
        await eventually(lambda: b.counts()[0]["requests"])
        await b.ask(get("/admin/instances/service1a", "DELETE"))
        answer = await on_its_way
        assert (answer.status, answer.body) == (200, b"service1b:x")


async def test_a_request_that_waits_goes_to_an_instance_that_is_added():
    more = Instance("service1b", echo)
    await more.start()
    async with balanced(silent, in_flight_limit=1) as b:
        held = await b.client()
        held.send(post())
        await eventually(lambda: b.instances[0].requests)
        waiting = asyncio.ensure_future(b.ask(post(b"x")))
        await eventually(lambda: b.server.balancer.queue.nonempty)
        added = {"name": "service1b", "port": more.port}
        await b.ask(get("/admin/instances", "POST", json.dumps(added).encode()))
        assert (await waiting).body == b"service1b:x"
    await more.kill()


async def test_metrics_count_requests_and_attempts_apart():
    async with balanced(echo, echo, retry_statuses=frozenset((502,))) as b:
        await b.ask(post())
        await b.instances[1].kill()
        await b.ask(post())
        await b.ask(b"GET / HTTP/1.1\r\n\r\n")
        first, second = (f"{instance.name}:{instance.port}" for instance in b.instances)
        seen = await samples(b)

        def value(name, **labels):
            return seen[name, tuple(sorted({"service": "service1", **labels}.items()))]

        assert value("balancer_requests_total", instance=first, code="200") == 2
        assert value("balancer_requests_total", instance="", code="400") == 1
        assert value("balancer_attempts_total", instance=first, result="answered") == 2
        assert value("balancer_attempts_total", instance=second, result="refused") == 1
        assert value("balancer_retries_total", reason="refused") == 1
        assert value("balancer_ejections_total", instance=second) == 1
        assert value("balancer_instance_up", instance=first) == 1
        assert value("balancer_instance_up", instance=second) == 0
        assert value("balancer_in_flight", instance=first) == 0
        assert value("balancer_queue_length") == 0
        assert value("balancer_request_duration_seconds_count") == 3
        assert value("balancer_request_duration_seconds_bucket", le="+Inf") == 3
        bounds = [dict(labels)["le"] for name, labels in seen if name.endswith("_seconds_bucket")]
        assert bounds[:3] == ["0.005", "0.01", "0.025"]


async def test_the_text_of_metrics_is_not_made_anew_for_each_who_asks(monkeypatch):
    monkeypatch.setattr(admin, "KEPT_S", 3600.0)
    async with balanced(echo) as b:
        before = await samples(b)
        await b.ask(post())
        assert await samples(b) == before


async def test_requests_and_attempts_add_up_whatever_becomes_of_them():
    """Answered, failed and abandoned: nothing is lost between the counters."""

    async def moody(request):
        match int(request.body) % 4:
            case 0:
                request.wire.reset()
                raise ConnectionError
            case 1:
                await silent(request)
            case _:
                await echo(request)

    async with balanced(moody, moody, timeout_s=5.0, failures=10_000) as b:
        for i in range(40):
            client = await b.client()
            client.send(post(b"%d" % i, path="/order"))
            if i % 4 == 1:
                await eventually(
                    lambda i=i: any(r.body == b"%d" % i for x in b.instances for r in x.requests)
                )
                client.writer.close()
            else:
                await client.answer()
        balancer = b.server.balancer
        await eventually(lambda: all(instance.in_flight == 0 for instance in balancer.instances))
        seen = await samples(b)
        by_name = {}
        for (name, _), value in seen.items():
            by_name[name] = by_name.get(name, 0) + value
        assert by_name["balancer_requests_total"] == 40
        assert by_name["balancer_attempts_total"] == 40 == sum(c["requests"] for c in b.counts())
        assert sum(c["errors"] for c in b.counts()) == 10


async def test_metrics_stay_sound_where_an_instance_is_removed_and_comes_back():
    """Every series is there once, and no counter falls, whatever is in flight while it goes."""
    release = asyncio.Event()

    async def moody(request):
        if request.body == b"hold":
            await release.wait()
        if request.body == b"drop":
            request.wire.reset()
            raise ConnectionError
        if request.body == b"leave":
            await silent(request)
        await echo(request)

    async with balanced(moody, failures=1_000) as b:
        instance = {"name": "service1a", "port": b.instances[0].port}
        counted = {}
        for turn in range(1, 4):
            for body in (b"fine", b"drop"):
                await b.ask(post(body, path="/order"))
            leaver = await b.client()
            leaver.send(post(b"leave"))
            await eventually(lambda turn=turn: len(b.instances[0].requests) == 4 * turn - 1)
            leaver.writer.close()
            held = asyncio.ensure_future(b.ask(post(b"hold")))
            await eventually(lambda turn=turn: len(b.instances[0].requests) == 4 * turn)
            (listed,) = b.server.balancer.instances
            await eventually(lambda listed=listed: listed.in_flight == 1)
            assert (await b.ask(get("/admin/instances/service1a", "DELETE"))).status == 200
            added = json.dumps(instance).encode()
            assert (await b.ask(get("/admin/instances", "POST", added))).status == 201
            release.set()
            await held
            release.clear()
            lines = (await b.ask(get("/metrics"))).body.decode().splitlines()
            series = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
            assert len(series) == len(set(series))
            seen = await samples(b)
            assert all(seen[key] >= value for key, value in counted.items())
            counted = {key: value for key, value in seen.items() if key[0].endswith("_total")}
            attempts = {
                dict(labels)["result"]: value
                for (name, labels), value in seen.items()
                if name == "balancer_attempts_total"
            }
            assert attempts == {"answered": 2 * turn, "abandoned": turn, "reset": turn}
        assert b.server.balancer.counters.answers[f"service1a:{b.instances[0].port}", 200] == 6


async def test_events_are_kept_to_be_looked_at():
    async with balanced(echo, echo) as b:
        await b.instances[0].kill()
        await b.ask(post())
        log = json.loads((await b.ask(get("/admin/events"))).body)
        assert [(e["event"], e["reason"]) for e in log] == [
            ("ejected", "unreachable"),
            ("retried", "refused"),
        ]
        assert all(e["instance"] == f"service1a:{b.instances[0].port}" for e in log)
        assert log[0]["at"] <= log[1]["at"]
