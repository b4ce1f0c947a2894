"""The settings of one instance of a service, and the environment variables that set them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.addresses import is_http_url
from services.balancer.settings import VARIABLES as BALANCER_VARIABLES
from services.documented import next_service, service_defaults
from services.environment import NAME_REMEDY, NONE, SettingsError, is_name, refuse_unknown, set_in
from services.limits import BODY_LIMIT_BYTES, GRACE_S, answer_limit, request_limit
from services.names import ClientName
from services.variables import VARIABLES
from services.work import Work

__all__ = ["VARIABLES", "ServiceSettings", "SettingsError"]

_LETTERS = re.compile(r"[a-z]{1,2}")
"""What tells the instances of one service apart: `a` stands for service1a."""


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The settings of one instance of a service. Raises SettingsError where a value makes no sense.

    `next_url` is the full URL that the service posts to, `next_service` the name of that service in errors.
    `hops_left` counts the servers between this one and the end of the pipeline, balancers included; the next
    hop has `timeout_s` × `hops_left` seconds to answer, so that the innermost server gives up first.
    """

    service: str
    path: str
    port: int
    instance: str = ""
    """The service's name where not given."""
    host: str = "127.0.0.1"
    next_url: str | None = None
    next_service: str | None = None
    hops_left: int = 1
    timeout_s: float = 30.0
    client: ClientName = ClientName.WIRE
    work: Work = field(default_factory=Work)
    body_limit_bytes: int = BODY_LIMIT_BYTES
    """The largest body that clients of the pipeline may send; see `request_limit_bytes`."""
    grace_s: float = GRACE_S
    """How long requests in flight may take to end once the service is told to stop."""
    ledger_limit: int = 0
    """How many request ids GET /ledger remembers; 0 leaves the ledger out."""
    ledger_file: str = ""
    """The file that the ledger, if there is one, appends each id to as well, so that ids outlive a crash."""
    faults: bool = False
    """Whether the instance can be made to fail while it runs (`services.fault_injection`)."""

    def __post_init__(self) -> None:
        if not self.instance:
            object.__setattr__(self, "instance", self.service)
        for name in ("service", "instance"):
            if not is_name(getattr(self, name)):
                self._refuse(name, NAME_REMEDY)
        if not (self.path.startswith("/") and len(self.path) > 1):
            self._refuse("path", "give the route it answers, such as /process")
        if not 0 <= self.port < 65536:
            self._refuse("port", "give 0 (any free port) to 65535")
        if self.next_url is not None and not is_http_url(self.next_url, with_path=True):
            self._refuse("next_url", "give http://host:port/path")
        if self.hops_left < (self.next_url is not None):
            self._refuse("hops_left", "the next hop is one, so give 1 or more")
        if not (math.isfinite(self.timeout_s) and self.timeout_s > 0):
            self._refuse("timeout_s", "give a number of seconds above 0")
        if not (math.isfinite(self.grace_s) and self.grace_s >= 0):
            self._refuse("grace_s", "give a number of seconds from 0")
        if self.body_limit_bytes < 1:
            self._refuse("body_limit_bytes", "give 1 or more")
        if self.ledger_limit < 0:
            self._refuse("ledger_limit", "give 0 (no ledger) or more")

    @property
    def hop(self) -> str:
        """The next hop as errors name it: by its service where that is known, and its URL."""
        return f"{self.next_service} ({self.next_url})" if self.next_service else f"{self.next_url}"

    @property
    def request_limit_bytes(self) -> int:
        """The largest body that the service takes: what clients may send, and what services add to it."""
        return request_limit(self.body_limit_bytes, path=self.path)

    @property
    def answer_limit_bytes(self) -> int:
        """The largest body that the next hop may answer with."""
        return answer_limit(self.body_limit_bytes)

    @property
    def hop_timeout_s(self) -> float:
        """How long the next hop may take, in seconds."""
        return self.timeout_s * self.hops_left

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], service: str | None = None) -> ServiceSettings:
        """Read the settings from environment variables (see VARIABLES); an empty variable counts as unset.

        `service` is the service's name where the command line gives it. service1 to service4 have the
        documented path, port and next hop unless variables say otherwise; others need SERVICE_PORT and
        SERVICE_PATH. One that listens on all addresses has the published name of the next balancer. Raises
        SettingsError, also for a `SERVICE_…` or `BALANCER_…` that is no setting: likely a misspelt one.
        """
        given = set_in(environ)
        refuse_unknown(given, VARIABLES, BALANCER_VARIABLES)
        service = service or given.get("SERVICE_NAME")
        if service is None:
            raise SettingsError("SERVICE_NAME is not set: say which service this is, such as service1")
        values: dict[str, Any] = {**service_defaults(service, given), "work": Work()}
        if "SERVICE_NEXT_URL" in given:
            values.pop("next_service", None)
        for variable in VARIABLES:
            if variable.name in given:
                variable.put(values, given[variable.name])
        if "SERVICE_INSTANCE" not in given and _LETTERS.fullmatch(values.get("instance", "")):
            values["instance"] = service + values["instance"]
        for missing in ("port", "path"):
            if missing not in values:
                raise SettingsError(
                    f"SERVICE_{missing.upper()} is not set: {service} has no documented {missing}"
                )
        return cls(**{**values, "service": service})

    def to_environ(self) -> dict[str, str]:
        """Return the environment variables from which `from_environ` reads these settings."""
        environ = {variable.name: variable.text(self) for variable in VARIABLES}
        del environ["INSTANCE_ID" if _LETTERS.fullmatch(self.instance) else "SERVICE_INSTANCE"]
        following = next_service(self.service)
        if following and self.next_url is None:
            environ["SERVICE_NEXT_URL"] = NONE
        elif following and self.next_service == following.name:
            base = f"{self.next_url}".removesuffix(following.path)
            if base + following.path == self.next_url and is_http_url(base, with_path=False):
                environ.update({following.url_variable: base, "SERVICE_NEXT_URL": "", "SERVICE_NEXT": ""})
        return {name: text for name, text in environ.items() if text}

    def _refuse(self, name: str, remedy: str) -> None:
        variable = next(variable.name for variable in VARIABLES if variable.field == name)
        raise SettingsError(f"{variable} ({name}) is {getattr(self, name)!r}: {remedy}")
