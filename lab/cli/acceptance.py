"""Checks of the documented behaviour, made over HTTP on a topology that is up."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lab.topology import Topology
from services.server_timing import SERVER_TIMING, metric_names

__all__ = [
    "EXAMPLE",
    "TIMEOUT_S",
    "Check",
    "Reply",
    "acceptance",
    "attempts",
    "get",
    "post",
    "report_of",
    "unasked",
]

EXAMPLE = {"text": "The cat, the CAT", "request_id": "r1"}
TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's answer. Status 0 stands for none; the body then gives the reason."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; an empty one for any other body."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked, and what was found where it does not hold."""

    what: str
    ok: bool
    found: str = ""


def acceptance(topology: Topology) -> Iterator[Check]:
    """Check the health, the documented example, bad input and the statistics of a topology that is up.

    Where nothing answers at the entry, that is the last check: all others would fail for the same reason.
    """
    yield from _health(topology)
    entry = topology.entry
    if not get(f"{entry.url}/health").status:
        yield unasked(entry.name)
        return
    before = attempts(topology)
    yield from _example(topology, post(topology.entry_url, EXAMPLE))
    yield from _bad_input(topology)
    yield from _statistics(topology, before)


def unasked(entry: str) -> Check:
    """Return the failed check for an entry, given by its name, that is down."""
    restart = f"`lab restart {entry}` brings it back"
    return Check("the entry answers", False, f"{entry} is down, so nothing more was asked: {restart}")


def report_of(topology: Topology, text: str) -> str:
    """Send a text through the pipeline and return its report; empty if the answer has none."""
    return str(post(topology.entry_url, {"text": text, "request_id": "lab-test"}).json().get("report", ""))


def get(url: str) -> Reply:
    """Send a GET to the URL and return the reply."""
    return _ask("GET", url, None)


def post(url: str, body: Any) -> Reply:
    """Send the body as JSON in a POST to the URL and return the reply."""
    return _ask("POST", url, json.dumps(body).encode())


def _health(topology: Topology) -> Iterator[Check]:
    for service in topology.services:
        named = [(instance.name, instance.url, service.name) for instance in service.instances]
        if service.balancer:
            named.append((service.balancer.name, service.balancer.url, service.balancer.name))
        for name, url, says in named:
            reply = get(f"{url}/health")
            ok = reply.status == 200 and reply.json() == {"status": "healthy", "service": says}
            yield Check(f"{name} is healthy", ok, _short(reply))


def _example(topology: Topology, reply: Reply) -> Iterator[Check]:
    body = reply.json()
    yield Check(f"POST {topology.entry_url} answers 200", reply.status == 200, _short(reply))
    yield _equal("status", body.get("status"), "success")
    yield _equal("word_count", body.get("word_count"), 4)
    yield _equal("top_words", body.get("top_words"), [["the", 2], ["cat", 2]])
    for field in ("message", "report"):
        value = body.get(field)
        yield Check(f"{field} is a text", isinstance(value, str) and value != "", repr(value))
    yield _equal("fields", sorted(body), ["message", "report", "status", "top_words", "word_count"])
    timed = metric_names(reply.headers.get(SERVER_TIMING, ""))
    wanted = {f"{service.name}-{part}" for service in topology.services for part in ("queue", "work")}
    yield Check("Server-Timing names queue and work of every service", wanted <= timed, repr(sorted(timed)))


def _bad_input(topology: Topology) -> Iterator[Check]:
    for what, body in (("a missing field", {"text": "x"}), ("a wrong type", {"text": 1, "request_id": "r"})):
        reply = post(topology.entry_url, body)
        yield Check(f"{what} is answered 422", reply.status == 422, _short(reply))
    reply = get(topology.entry_url)
    yield Check("a wrong method is answered 405", reply.status == 405, _short(reply))


def _statistics(topology: Topology, before: dict[str, int]) -> Iterator[Check]:
    for name, number in attempts(topology).items():
        counted = number > before[name] >= 0
        yield Check(f"{name} counts its requests in /stats", counted, f"{before[name]}, then {number}")


def attempts(topology: Topology) -> dict[str, int]:
    """Return the attempts that each balancer counted; -1 where its statistics are not as documented."""
    counts = {}
    for service in topology.services:
        if service.balancer:
            stats = get(f"{service.balancer.url}/stats").json()
            labels = [f"{instance.name}:{instance.port}" for instance in service.instances]
            try:
                documented = set(stats) == {"instances", "stats"} and stats["instances"] == labels
                total = sum(stats["stats"][label]["requests"] for label in labels)
            except (KeyError, TypeError):
                documented, total = False, 0
            counts[service.balancer.name] = total if documented else -1
    return counts


def _equal(field: str, found: Any, wanted: Any) -> Check:
    shown = wanted if isinstance(wanted, str) else json.dumps(wanted)
    return Check(f"{field}: {shown}", found == wanted, json.dumps(found))


def _ask(method: str, url: str, body: bytes | None) -> Reply:
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    try:
        connection.request(method, f"/{path}", body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        return Reply(0, {}, repr(error).encode())
    finally:
        connection.close()


def _short(reply: Reply) -> str:
    body = reply.body[:200].decode(errors="replace")
    return f"{reply.status} {body}" if reply.status else body
