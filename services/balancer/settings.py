"""What can be set about a balancer, and the environment variables that set it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.addresses import Address, read_addresses
from services.documented import PATHS, balancer_defaults, balancer_name
from services.environment import (
    NAME_REMEDY,
    NONE,
    SettingsError,
    Variable,
    is_name,
    number,
    one_of,
    port,
    refuse_unknown,
    set_in,
    whole,
)
from services.limits import BODY_LIMIT_BYTES, GRACE_S, request_limit
from services.names import PolicyName
from services.variables import VARIABLES as SERVICE_VARIABLES

__all__ = ["VARIABLES", "Address", "BalancerSettings", "PolicyName", "SettingsError", "port_variable"]

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BalancerSettings:
    """All settings of one balancer. Raises SettingsError where a value makes no sense.

    `hops_left` counts the servers between this one and the end of the pipeline, its own instance included:
    one try may take `timeout_s` × `hops_left`, and a request `timeout_s` × (`hops_left` + 1) or what its
    X-Request-Deadline-Ms leaves, so that of all servers that wait the innermost gives up first.
    """

    service: str
    port: int
    instances: tuple[Address, ...]
    name: str = ""
    """`service1-loadbalancer` where not given."""
    host: str = "127.0.0.1"
    policy: PolicyName = PolicyName.ROUND_ROBIN
    seed: int = 0
    idempotent: frozenset[str] = frozenset(PATHS)
    retry_statuses: frozenset[int] = frozenset()
    hops_left: int = 1
    timeout_s: float = 30.0
    connect_timeout_s: float = 1.0
    in_flight_limit: int = 0
    queue_limit: int = 1024
    queue_timeout_s: float = 5.0
    retry_ratio: float = 0.2
    retry_per_s: float = 10.0
    failures: int = 5
    backoff_s: float = 1.0
    backoff_cap_s: float = 30.0
    check_interval_s: float = 1.0
    check_timeout_s: float = 1.0
    rise: int = 2
    fall: int = 3
    panic_threshold: float = 0.25
    slow_start_s: float = 0.0
    admin_token: str = field(default="", repr=False)
    """Where set, instances are changed by those alone who send it; where empty, from this machine alone."""
    grace_s: float = GRACE_S
    """How long requests in flight, and tunnels, may take to end once the balancer is told to stop."""
    unready_s: float = 0.0
    """How long a balancer that is to stop still accepts, so that those who check its /health send no more."""
    head_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    idle_timeout_s: float = 75.0
    tunnel_idle_s: float = 3600.0
    """How long nothing may go through a websocket before it is cut."""
    instance_idle_s: float = 4.0
    head_limit_bytes: int = 32 * 1024
    body_limit_bytes: int = BODY_LIMIT_BYTES
    """The largest body that clients of the pipeline may send; see `request_limit_bytes`."""
    replay_limit_bytes: int = MIB

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", balancer_name(self.service))
        for name in ("service", "name"):
            if not is_name(getattr(self, name)):
                self._refuse(name, NAME_REMEDY)
        if not 0 <= self.port < 65536:
            self._refuse("port", "give 0 (any free port) to 65535")
        known = {(address.name, address.port) for address in self.instances}
        if len(known) < len(self.instances):
            self._refuse("instances", "give each instance a name of its own")
        for variable in VARIABLES:
            value = getattr(self, variable.field)
            if variable.read is number and not (0 <= value < float("inf")):
                self._refuse(variable.field, "give 0 or more")
            if variable.field in _ABOVE_0 and not value > 0:
                self._refuse(variable.field, "give more than 0")
            if variable.field in _FROM_0 and value < 0:
                self._refuse(variable.field, "give 0 or more")
        if self.admin_token and not _TOKEN.fullmatch(self.admin_token):  # which no message shows
            raise SettingsError("BALANCER_ADMIN_TOKEN: use letters, digits, '-', '.', '_', '~', '+' and '/'")
        if self.backoff_cap_s < self.backoff_s:
            self._refuse("backoff_cap_s", f"give at least BALANCER_BACKOFF_S, {self.backoff_s}")
        if self.panic_threshold > 1:
            self._refuse("panic_threshold", "give a part of the instances, from 0 to 1")

    @property
    def instances_variable(self) -> str:
        """The environment variable that lists the instances."""
        return _instances_variable(self.service)

    @property
    def remark(self) -> str:
        """What to say of the balancer as it starts, if anything."""
        if self.instances:
            return ""
        return f"has no instances yet: set {self.instances_variable}, or POST them to /admin/instances"

    @property
    def request_limit_bytes(self) -> int:
        """The largest body that the balancer takes: what clients may send, and what services add to it."""
        return request_limit(self.body_limit_bytes, service=self.service)

    @property
    def policy_seed(self) -> int:
        """The seed of the policy's random choices: a stable hash of `seed` and `name`.

        So balancers of one pipeline, which share a seed, choose independently of each other, and each of
        them repeats its choices with the same seed.
        """
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{self.name}".encode()).digest()[:8], "big")

    @property
    def try_timeout_s(self) -> float:
        """How long one try at one instance may take, in seconds."""
        return self.timeout_s * self.hops_left

    @property
    def total_timeout_s(self) -> float:
        """How long a request may take over all its tries, in seconds."""
        return self.timeout_s * (self.hops_left + 1)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], service: str | None = None) -> BalancerSettings:
        """Read the settings from environment variables (see VARIABLES); those set to nothing count as unset.

        `service` is the name of the service behind the balancer, where the caller knows it. The instances are
        in SERVICE1_INSTANCES for service1, and so on (`none`: they will be added while it runs). A balancer
        of service1 to service4 has the documented port and, if it listens on all addresses, the published
        names of the instances; any other needs a port. Raises SettingsError, also for a `BALANCER_…` or
        `SERVICE_…` that is no setting: likely a misspelt one.
        """
        given = set_in(environ)
        refuse_unknown(given, VARIABLES, SERVICE_VARIABLES)
        service = service or given.get("BALANCER_SERVICE")
        if service is None:
            raise SettingsError(
                "BALANCER_SERVICE is not set: say which service this is for, such as service1"
            )
        values: dict[str, Any] = {"instances": (), **balancer_defaults(service, given)}
        if _instances_variable(service) in given:
            values["instances"] = _instances(given, service)
        for variable in VARIABLES:
            if variable.name in given:
                variable.put(values, given[variable.name])
        if "port" not in values:
            raise SettingsError(f"BALANCER_PORT is not set: the balancer of {service} has no documented port")
        return cls(**{**values, "service": service})

    def to_environ(self) -> dict[str, str]:
        """Return the environment variables from which `from_environ` reads these settings."""
        environ = {variable.name: _text(variable, self) for variable in VARIABLES}
        environ[self.instances_variable] = ",".join(str(address) for address in self.instances) or NONE
        del environ["SERVICE_PORT"]  # BALANCER_PORT says the same
        return {name: text for name, text in environ.items() if text}

    def _refuse(self, name: str, remedy: str) -> None:
        known = {variable.field: variable.name for variable in VARIABLES}
        variable = known.get(name, self.instances_variable)
        raise SettingsError(f"{variable} ({name}) is {getattr(self, name)!r}: {remedy}")


def port_variable(environ: Mapping[str, str]) -> str:
    """Return which environment variable sets the port, or would."""
    given = set_in(environ)
    return "SERVICE_PORT" if "SERVICE_PORT" in given and "BALANCER_PORT" not in given else "BALANCER_PORT"


def _instances_variable(service: str) -> str:
    return f"{service.upper()}_INSTANCES"


def _instances(given: Mapping[str, str], service: str) -> tuple[Address, ...]:
    variable = _instances_variable(service)
    text = given[variable]
    try:
        return () if text.strip() == NONE else read_addresses(text)
    except ValueError as error:
        raise SettingsError(f"{variable} is {text!r}: {error}") from error


def _paths(text: str) -> frozenset[str]:
    paths = frozenset(path.strip() for path in text.split(",") if path.strip())
    if text.strip() == NONE:
        return frozenset()
    if not all(path.startswith("/") for path in paths):
        raise ValueError("give paths such as /process,/report, or none")
    return paths


def _statuses(text: str) -> frozenset[int]:
    if text.strip() == NONE:
        return frozenset()
    statuses = frozenset(whole(part) for part in text.split(",") if part.strip())
    if not all(500 <= status <= 599 for status in statuses):
        raise ValueError("give statuses from 500 to 599, such as 502,503, or none")
    return statuses


def _text(variable: Variable, settings: BalancerSettings) -> str:
    value = getattr(settings, variable.field)
    if not isinstance(value, frozenset):
        return variable.text(settings)
    if variable.field == "idempotent" and not value:
        return NONE
    return ",".join(str(item) for item in sorted(value))


_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""What Authorization: Bearer can carry (RFC 6750, 2.1)."""

_ABOVE_0 = frozenset(
    (
        "hops_left",
        "timeout_s",
        "connect_timeout_s",
        "queue_timeout_s",
        "failures",
        "backoff_s",
        "check_timeout_s",
        "rise",
        "fall",
        "head_timeout_s",
        "body_timeout_s",
        "idle_timeout_s",
        "tunnel_idle_s",
        "instance_idle_s",
        "head_limit_bytes",
        "body_limit_bytes",
    )
)
_FROM_0 = frozenset(("in_flight_limit", "queue_limit", "replay_limit_bytes"))

VARIABLES = (
    Variable("BALANCER_SERVICE", "service", str, "service behind it, where the command line does not say"),
    Variable("BALANCER_NAME", "name", str, "name of this balancer; else service1-loadbalancer …"),
    Variable(
        "BALANCER_HOST",
        "host",
        str,
        "address to listen on; else 127.0.0.1. On all (0.0.0.0) instances have their published names",
    ),
    Variable("SERVICE_PORT", "port", port, "port to listen on, where BALANCER_PORT does not say"),
    Variable("BALANCER_PORT", "port", whole, "port to listen on; else the documented 8061 to 8064"),
    Variable("BALANCER_POLICY", "policy", one_of(PolicyName), f"{', '.join(PolicyName)}; else round_robin"),
    Variable("BALANCER_SEED", "seed", whole, "seed, with the name, of random choices; else 0"),
    Variable(
        "BALANCER_IDEMPOTENT", "idempotent", _paths, "routes that may be done twice; else the pipeline's"
    ),
    Variable(
        "BALANCER_RETRY_STATUSES", "retry_statuses", _statuses, "answers (5xx) such a route tries again on"
    ),
    Variable(
        "BALANCER_HOPS_LEFT", "hops_left", whole, "servers after this one, balancers too; else 7, 5, 3 or 1"
    ),
    Variable("BALANCER_TIMEOUT_S", "timeout_s", number, "seconds that each hop left may take; else 30"),
    Variable("BALANCER_CONNECT_TIMEOUT_S", "connect_timeout_s", number, "seconds to connect; else 1"),
    Variable(
        "BALANCER_IN_FLIGHT_LIMIT", "in_flight_limit", whole, "requests at once to an instance; else 0: any"
    ),
    Variable("BALANCER_QUEUE_LIMIT", "queue_limit", whole, "requests that may wait for room; else 1024"),
    Variable("BALANCER_QUEUE_TIMEOUT_S", "queue_timeout_s", number, "seconds they may wait; else 5"),
    Variable("BALANCER_RETRY_RATIO", "retry_ratio", number, "retries per request; else 0.2"),
    Variable("BALANCER_RETRY_PER_S", "retry_per_s", number, "retries per second beside that; else 10"),
    Variable("BALANCER_FAILURES", "failures", whole, "failures in a row that eject an instance; else 5"),
    Variable("BALANCER_BACKOFF_S", "backoff_s", number, "seconds of a first ejection; else 1"),
    Variable("BALANCER_BACKOFF_CAP_S", "backoff_cap_s", number, "seconds of the longest ejection; else 30"),
    Variable(
        "BALANCER_CHECK_INTERVAL_S", "check_interval_s", number, "seconds between checks; else 1; 0: none"
    ),
    Variable("BALANCER_CHECK_TIMEOUT_S", "check_timeout_s", number, "seconds that a check may take; else 1"),
    Variable("BALANCER_RISE", "rise", whole, "checks passed in a row that restore an instance; else 2"),
    Variable("BALANCER_FALL", "fall", whole, "checks failed in a row that eject it; else 3"),
    Variable(
        "BALANCER_PANIC_THRESHOLD", "panic_threshold", number, "part of instances fit, below: all; else 0.25"
    ),
    Variable("BALANCER_SLOW_START_S", "slow_start_s", number, "seconds of less load on return; else 0"),
    Variable(
        "BALANCER_ADMIN_TOKEN", "admin_token", str, "token to change instances with; else none: from here"
    ),
    Variable("BALANCER_GRACE_S", "grace_s", number, "seconds to finish once told to stop; else 3"),
    Variable("BALANCER_UNREADY_S", "unready_s", number, "seconds of 503 to checks before it stops; else 0"),
    Variable("BALANCER_HEAD_TIMEOUT_S", "head_timeout_s", number, "seconds for a request's head; else 10"),
    Variable(
        "BALANCER_BODY_TIMEOUT_S", "body_timeout_s", number, "seconds without progress of a body; else 30"
    ),
    Variable("BALANCER_IDLE_TIMEOUT_S", "idle_timeout_s", number, "seconds a client may be idle; else 75"),
    Variable("BALANCER_TUNNEL_IDLE_S", "tunnel_idle_s", number, "seconds a websocket may idle; else 3600"),
    Variable("BALANCER_INSTANCE_IDLE_S", "instance_idle_s", number, "seconds idle to an instance; else 4"),
    Variable("BALANCER_HEAD_LIMIT_BYTES", "head_limit_bytes", whole, "largest request head; else 32768"),
    Variable("BALANCER_BODY_LIMIT_BYTES", "body_limit_bytes", whole, "largest request body; else 67108864"),
    Variable("BALANCER_REPLAY_LIMIT_BYTES", "replay_limit_bytes", whole, "largest body kept; else 1048576"),
)
"""Every environment variable of a balancer but `SERVICE1_INSTANCES` …, which lists the instances as
`service1a=127.0.0.1:8051,…` or `127.0.0.1:8051,…`, with `*2` after one of weight 2."""
