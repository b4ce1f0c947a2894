"""What a balancer answers itself: its state, and changes to the set of its instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from services.balancer.addresses import Address
from services.balancer.balancer import Core, DuplicateInstance, UnknownInstance
from services.balancer.caller import Caller
from services.balancer.metrics import Metrics

__all__ = ["ADMIN", "Admin"]

ADMIN = b"/admin/"

_JSON = "application/json"
_INSTANCES = b"/admin/instances"


class Admin:
    """The balancer's own routes.

    GET /health, /stats, /metrics, /admin/instances and /admin/events; POST /admin/instances with
    `{"name": "service1e", "port": 8071, "host": "127.0.0.1", "weight": 1}` (the last two may be left out)
    adds an instance, DELETE /admin/instances/service1e removes one. See Caller for who may do so.
    """

    def __init__(self, core: Core, add: Callable[[Address], object], remove: Callable[[str], object]) -> None:
        self._core = core
        self._add = add
        self._remove = remove
        self._metrics = Metrics(core)
        self._reads: dict[bytes, Callable[[], tuple[int, str, bytes]]] = {
            b"/health": self._health,
            b"/stats": lambda: _json(200, core.stats()),
            b"/metrics": lambda: (200, self._metrics.content_type, self._metrics.text()),
            _INSTANCES: lambda: _json(200, self._instances()),
            b"/admin/events": lambda: _json(200, core.log.last()),
        }
        self.paths = frozenset(self._reads)
        """What is for the balancer itself, beside all that begins with ADMIN."""

    def answer(self, method: bytes, path: bytes, body: bytes, caller: Caller) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer."""
        read = self._reads.get(path)
        if read is not None and method in (b"GET", b"HEAD"):
            return read()
        adds = path == _INSTANCES and method == b"POST"
        removes = path.startswith(_INSTANCES + b"/") and method == b"DELETE"
        if adds or removes:
            objection = caller.objection(body)
            if objection is not None:
                return _json(objection[0], {"detail": objection[1]})
            return self._post(body) if adds else self._delete(path[len(_INSTANCES) + 1 :].decode("ascii"))
        if read is not None or path.startswith(_INSTANCES + b"/"):
            return _json(405, {"detail": f"{method.decode()} is not for {path.decode()}"})
        return _json(404, {"detail": f"the balancer has no {path.decode()}"})

    def _health(self) -> tuple[int, str, bytes]:
        status = "draining" if self._core.draining else "healthy"
        code = 503 if self._core.draining else 200
        return _json(code, {"status": status, "service": self._core.settings.name})

    def _instances(self) -> list[dict[str, object]]:
        roster = self._core.roster
        return [
            {
                "name": instance.name,
                "host": instance.host,
                "port": instance.port,
                "weight": instance.weight,
                "state": roster.state(instance),
                "in_flight": instance.in_flight,
                "requests": instance.requests,
                "errors": instance.errors,
            }
            for instance in roster
        ]

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        try:
            address = _address(json.loads(body))
        except (ValueError, RecursionError) as error:
            return _json(422, {"detail": f"no instance: {error}"})
        try:
            self._add(address)
        except DuplicateInstance as error:
            return _json(409, {"detail": str(error)})
        return _json(201, {"added": str(address)})

    def _delete(self, name: str) -> tuple[int, str, bytes]:
        try:
            self._remove(name)
        except UnknownInstance as error:
            return _json(404, {"detail": str(error.args[0])})
        return _json(200, {"removed": name})


def _address(data: Any) -> Address:
    """Raises ValueError for anything but the fields of an address, of the right types."""
    if not isinstance(data, dict):
        raise ValueError("give an object with name and port")
    known = {"name": str, "host": str, "port": int, "weight": int}
    for key, value in data.items():
        if key not in known or type(value) is not known[key]:
            raise ValueError(f"{key} is {value!r}: give name, host (text), port and weight (whole numbers)")
    if not data.get("name") or "port" not in data:
        raise ValueError("give a name and a port")
    return Address(data["name"], data.get("host", "127.0.0.1"), data["port"], data.get("weight", 1))


def _json(status: int, content: object) -> tuple[int, str, bytes]:
    return status, _JSON, json.dumps(content).encode()
