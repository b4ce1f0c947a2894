"""What a balancer answers itself: its health, state and metrics, and changes to the set of its instances.

Metrics are made when Prometheus asks, since a counter touched for every request would cost more. Changes are
for programs on the same machine, or for those that have the balancer's token (AdminAccess).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hmac import compare_digest
from itertools import accumulate
from typing import Any, NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from services.addresses import Address, is_loopback
from services.balancer.balancer import DuplicateInstance, LoadBalancer, UnknownInstance
from services.balancer.counters import DURATION_BUCKETS_S
from services.balancer.health import State
from services.balancer.http.request import RequestHead

__all__ = ["ADMIN", "Admin", "AdminAccess", "Metrics", "OwnAnswer", "is_relayed"]

KEPT_S = 0.1
"""How long the text of the metrics is good for."""


class Metrics:
    """A collector over one balancer's counters. Label values are the service's name and instance labels."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self, balancer: LoadBalancer) -> None:
        self._balancer = balancer
        self._text, self._until = b"", 0.0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the answer to GET /metrics: for KEPT_S the same one, since making it takes a millisecond."""
        now = time.monotonic()
        if now >= self._until:
            self._text, self._until = bytes(generate_latest(self._registry)), now + KEPT_S
        return self._text

    def collect(self) -> Iterator[Metric]:
        """Yield every metric, as prometheus-client asks for them."""
        yield self._requests()
        yield self._attempts()
        yield self._by_reason(
            "balancer_retries", "Requests that went to another instance.", self._balancer.counters.retries
        )
        yield self._by_reason(
            "balancer_denials", "Requests that might have, and did not.", self._balancer.counters.denials
        )
        yield self._by_reason(
            "balancer_shortages",
            "Times that the balancer itself ran out of something.",
            self._balancer.counters.shortages,
        )
        yield self._durations()
        yield from self._instances()
        queue = GaugeMetricFamily("balancer_queue_length", "Requests that wait for room.", labels=["service"])
        queue.add_metric([self._service], len(self._balancer.queue))
        yield queue

    @property
    def _service(self) -> str:
        return self._balancer.settings.service

    def _requests(self) -> Metric:
        family = CounterMetricFamily(
            "balancer_requests",
            "Requests answered, by the instance that did (none: the balancer). 499: the client went away.",
            labels=["service", "instance", "code"],
        )
        for (label, code), number in self._balancer.counters.answers.items():
            family.add_metric([self._service, label, str(code)], number)
        return family

    def _attempts(self) -> Metric:
        family = CounterMetricFamily(
            "balancer_attempts",
            "Attempts at instances that have ended, by how they did.",
            labels=["service", "instance", "result"],
        )
        counters = self._balancer.counters
        for label, number in counters.answered_attempts(self._balancer.instances).items():
            family.add_metric([self._service, label, "answered"], number)
        for (label, kind), number in (*counters.unjudged.items(), *counters.failures.items()):
            family.add_metric([self._service, label, str(kind)], number)
        return family

    def _by_reason(self, name: str, text: str, numbers: dict[str, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=["service", "reason"])
        for reason, number in numbers.items():
            family.add_metric([self._service, str(reason)], number)
        return family

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "balancer_request_duration_seconds",
            "From a request that has come, a short body with it, to the end of its response.",
            labels=["service"],
        )
        counters = self._balancer.counters
        bounds = [*(str(bound) for bound in DURATION_BUCKETS_S), "+Inf"]
        buckets = list(zip(bounds, accumulate(counters.timings), strict=True))
        family.add_metric([self._service], buckets, counters.seconds)
        return family

    def _instances(self) -> Iterator[Metric]:
        labels = ["service", "instance"]
        up = GaugeMetricFamily("balancer_instance_up", "1 if requests go there, else 0.", labels=labels)
        flight = GaugeMetricFamily("balancer_in_flight", "Attempts begun and not ended.", labels=labels)
        ejections = CounterMetricFamily("balancer_ejections", "Times it was ejected.", labels=labels)
        for instance in self._balancer.instances:
            names = [self._service, instance.label]
            up.add_metric(names, float(self._balancer.instances.state(instance) is State.SERVING))
            flight.add_metric(names, instance.in_flight)
            ejections.add_metric(names, self._balancer.counters.ejections[instance.label])
        yield from (up, flight, ejections)


class OwnAnswer(NamedTuple):
    """An answer that the balancer gives itself."""

    status: int
    content_type: str
    body: bytes
    more: bytes = b""
    """Further header lines, each with its line end."""


_JSON_TYPE = b"application/json"
_RELAYED = frozenset(("forwarded", "via", "x-real-ip"))
_RELAYED_PREFIX = "x-forwarded-"


@dataclass(frozen=True, slots=True)
class AdminAccess:
    """Who asks, as far as that decides whether it may change instances.

    Where the balancer has a token, only those may who send it, from any machine. Else programs on this
    machine may, which is a net and not a wall: they are told by their address, and by naming this machine in
    Host. A proxy on this machine, which would make every stranger look like one, is told by what it adds
    (Forwarded, Via, X-Forwarded-…, X-Real-IP), if it adds anything. A web page that is open in a browser
    here is told by its Origin, which browsers add.
    """

    address: str
    """The peer's IP address."""
    host: str = "localhost"
    """The host that the request names, without its port."""
    from_page: bool = False
    """Whether the request has an Origin."""
    relayed: bool = False
    """Whether the request has passed a proxy that says so."""
    sends_json: bool = True
    """Whether the request says that its body is JSON."""
    authorization: str = ""
    """The value of Authorization; empty where it is not given, or more than once."""

    @classmethod
    def of(cls, address: bytes, head: RequestHead) -> AdminAccess:
        """Return the access of a peer by its address and the head of its request.

        What the request itself would have dropped, by naming it in Connection, counts all the same.
        """
        lines = (line.partition(b":") for line in (*head.lines[1:], *head.withheld))
        headers = [(name.lower(), value.strip(b" \t")) for name, _, value in lines]
        types = {
            value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"
        }
        given = [value for name, value in headers if name == b"authorization"]
        return cls(
            address.decode(),
            next((_hostname(value) for name, value in headers if name == b"host"), ""),
            from_page=any(name == b"origin" for name, _ in headers),
            relayed=bool(head.forwarded_for) or is_relayed(name.decode("latin-1") for name, _ in headers),
            sends_json=types == {_JSON_TYPE},
            authorization=given[0].decode("latin-1") if len(given) == 1 else "",
        )

    def objection(self, body: bytes, token: str = "") -> tuple[int, str] | None:
        """Return status and reason of the refusal to change instances; None if the peer may.

        `token` is the one that the balancer has; empty if it has none.
        """
        objection = self._without_token(token) if token else self._from_elsewhere()
        if objection is None and body and not self.sends_json:
            return 415, "say that the body is JSON: send Content-Type: application/json"
        return objection

    def _without_token(self, token: str) -> tuple[int, str] | None:
        scheme, _, given = self.authorization.partition(" ")
        known = compare_digest(given.strip().encode("latin-1"), token.encode())
        if scheme.lower() == "bearer" and known:
            return None
        return 401, "send the token that the balancer was given: Authorization: Bearer TOKEN"

    def _from_elsewhere(self) -> tuple[int, str] | None:
        another = "set BALANCER_ADMIN_TOKEN to allow it with a token"
        if not is_loopback(self.address):
            return (
                403,
                f"instances are changed from the same machine only, and {self.address} is another: {another}",
            )
        if self.from_page:
            return 403, "instances are not changed by web pages: send no Origin"
        if self.relayed:
            return 403, f"instances are not changed through a proxy: {another}"
        if not is_loopback(self.host):
            return (
                403,
                f"instances are changed under a name of this machine only, such as localhost, not"
                f" {self.host or 'without a Host'}: {another}",
            )
        return None


def is_relayed(names: Iterable[str]) -> bool:
    """Tell by the names of its headers, in lower case, whether a request has passed a proxy that says so."""
    return any(name in _RELAYED or name.startswith(_RELAYED_PREFIX) for name in names)


def _hostname(value: bytes) -> str:
    """Return the host in a Host header: in lower case, without port, brackets and the dot of the root."""
    host = value.decode("latin-1").lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


ADMIN = b"/admin/"

_JSON = "application/json"
_INSTANCES = b"/admin/instances"


class Admin:
    """The balancer's own routes.

    GET /health, /stats, /metrics, /admin/instances and /admin/events; POST /admin/instances with
    `{"name": "service1e", "port": 8071, "host": "127.0.0.1", "weight": 1}` (the last two may be left out)
    adds an instance, DELETE /admin/instances/service1e removes one. See AdminAccess for who may do so.
    """

    def __init__(
        self, balancer: LoadBalancer, add: Callable[[Address], object], remove: Callable[[str], object]
    ) -> None:
        self._balancer = balancer
        self._add = add
        self._remove = remove
        self._metrics = Metrics(balancer)
        self._token = balancer.settings.admin_token
        self._reads: dict[bytes, Callable[[], OwnAnswer]] = {
            b"/health": self._health,
            b"/stats": lambda: _json(200, balancer.stats()),
            b"/metrics": lambda: OwnAnswer(200, self._metrics.content_type, self._metrics.text()),
            _INSTANCES: lambda: _json(200, self._instances()),
            b"/admin/events": lambda: _json(200, balancer.log.last()),
        }
        self.paths = frozenset(self._reads)
        """Paths that the balancer answers itself, beside all that begin with ADMIN."""

    def answer(self, method: bytes, path: bytes, body: bytes, access: AdminAccess) -> OwnAnswer:
        """Return the answer to a request."""
        read = self._reads.get(path)
        if read is not None and method in (b"GET", b"HEAD"):
            return read()
        adds = path == _INSTANCES and method == b"POST"
        removes = path.startswith(_INSTANCES + b"/") and method == b"DELETE"
        if adds or removes:
            objection = access.objection(body, self._token)
            if objection is not None:
                challenge = b"WWW-Authenticate: Bearer\r\n" if objection[0] == 401 else b""
                return _json(objection[0], {"detail": objection[1]}, challenge)
            return self._post(body) if adds else self._delete(path[len(_INSTANCES) + 1 :].decode("ascii"))
        allowed = _allowed(path) if read is not None or path.startswith(_INSTANCES + b"/") else ""
        if allowed:
            detail = f"{method.decode()} is not for {path.decode()}: {allowed} is"
            return _json(405, {"detail": detail}, b"Allow: %b\r\n" % allowed.encode())
        return _json(404, {"detail": f"the balancer has no {path.decode()}"})

    def _health(self) -> OwnAnswer:
        status = "draining" if self._balancer.draining else "healthy"
        code = 503 if self._balancer.draining else 200
        return _json(code, {"status": status, "service": self._balancer.settings.name})

    def _instances(self) -> list[dict[str, object]]:
        instances = self._balancer.instances
        return [
            {
                "name": instance.name,
                "host": instance.host,
                "port": instance.port,
                "weight": instance.weight,
                "state": instances.state(instance),
                "in_flight": instance.in_flight,
                "requests": instance.requests,
                "errors": instance.errors,
            }
            for instance in instances
        ]

    def _post(self, body: bytes) -> OwnAnswer:
        try:
            address = _address(json.loads(body))
        except (ValueError, RecursionError) as error:
            return _json(422, {"detail": f"no instance: {error}"})
        try:
            self._add(address)
        except DuplicateInstance as error:
            return _json(409, {"detail": str(error)})
        return _json(201, {"added": str(address)})

    def _delete(self, name: str) -> OwnAnswer:
        try:
            self._remove(name)
        except UnknownInstance as error:
            return _json(404, {"detail": str(error.args[0])})
        return _json(200, {"removed": name})


def _address(data: Any) -> Address:
    """Read an address. Raises ValueError for anything but its fields, of the right types."""
    if not isinstance(data, dict):
        raise ValueError("give an object with name and port")
    known = {"name": str, "host": str, "port": int, "weight": int}
    for key, value in data.items():
        if key not in known or type(value) is not known[key]:
            raise ValueError(f"{key} is {value!r}: give name, host (text), port and weight (whole numbers)")
    if not data.get("name") or "port" not in data:
        raise ValueError("give a name and a port")
    return Address(data["name"], data.get("host", "127.0.0.1"), data["port"], data.get("weight", 1))


def _allowed(path: bytes) -> str:
    """Return the methods of one of the balancer's own routes, as Allow lists them."""
    if path.startswith(_INSTANCES + b"/"):
        return "DELETE"
    return "GET, HEAD, POST" if path == _INSTANCES else "GET, HEAD"


def _json(status: int, content: object, more: bytes = b"") -> OwnAnswer:
    return OwnAnswer(status, _JSON, json.dumps(content).encode(), more)
