"""The form of a pipeline: services by name, who calls whom, how each comes alive, what to send.

These models are the contract of the pipeline file and its twin in Python: both are checked by them. A name in
braces (`{port}`) that can be filled in is called a placeholder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from lab.errors import BadParameter
from lab.names import BalancerName
from lab.pipeline.document import plain
from lab.pipeline.graph import circle_of
from lab.pipeline.mistakes import Mistake, joined, lines_of, unknown_name
from lab.pipeline.readers import (
    as_list,
    read_base_url,
    read_body,
    read_calls,
    read_command,
    read_method,
    read_name,
    read_path,
    read_routes,
)
from services.environment import NAME_REMEDY, is_name
from services.names import PolicyName

__all__ = [
    "Call",
    "Entry",
    "ExpectedAnswers",
    "OwnService",
    "Pipeline",
    "ServiceKind",
    "Steps",
    "json_schema",
    "of_data",
    "variable_stem",
]


class ServiceKind(StrEnum):
    """What speaks on a service's port."""

    HTTP = "http"
    TCP = "tcp"
    """A database, say: started and waited for, never balanced, never measured."""


class _Form(BaseModel):
    """Refuse unknown keys, but for those that begin with `x-`, which are anyone's own."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"patternProperties": {"^x-": {}}}
    )

    @model_validator(mode="before")
    @classmethod
    def _without_own_keys(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if not str(key).startswith("x-")}
        return data


def _one_or_many(item: dict[str, Any]) -> WithJsonSchema:
    """Describe for editors what may be one item or a list of them."""
    return WithJsonSchema({"anyOf": [item, {"type": "array", "items": item}]})


class ExpectedAnswers(_Form):
    """Which answers count as successes: by default every status from 200 to 299."""

    status: Annotated[tuple[int, ...], BeforeValidator(as_list), _one_or_many({"type": "integer"})] = Field(
        default=(), description="Statuses that count as successes. By default 200 to 299."
    )

    def met_by(self, status: int) -> bool:
        """Tell whether an answer with this status is a success."""
        return status in self.status if self.status else 200 <= status < 300

    @model_validator(mode="after")
    def _statuses_exist(self) -> Self:
        for status in self.status:
            if not 100 <= status <= 599:
                raise ValueError(f"{status} is no status of HTTP: give 100 to 599")
        return self


Method = Annotated[str, AfterValidator(read_method)]
Route = Annotated[str, AfterValidator(read_path)]


class Entry(_Form):
    """What is sent to the pipeline, and where."""

    service: str = Field(description="The service that a request meets first.")
    method: Method = Field(default="POST", description="The method of HTTP.")
    path: Route = Field(default="/", description="The path, with a query if there is one.")
    headers: dict[str, str] = Field(default_factory=dict, description="Header fields to send.")
    body: Annotated[str | dict[str, Any] | list[Any] | None, BeforeValidator(read_body)] = Field(
        default=None, description="Text that is sent as it is; a mapping or a list is sent as JSON."
    )
    body_file: str | None = Field(default=None, description="A file whose content is sent.")
    requests: str | None = Field(
        default=None,
        description="A JSONL file with a weighted mix of requests.",
    )
    expect: ExpectedAnswers = Field(
        default_factory=ExpectedAnswers, description="Which answers count as successes."
    )

    @model_validator(mode="after")
    def _sends_one_thing(self) -> Self:
        given = [key for key in ("body", "body_file", "requests") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are given: keep one")
        return self


class Call(_Form):
    """One call that a service makes while it answers a request."""

    service: str = Field(description="The service that is called.")
    times: float = Field(default=1.0, gt=0, le=1e6, description="How often, on average, where it is called.")
    probability: float = Field(default=1.0, gt=0, le=1, description="In which share of the requests.")
    path: Route | None = Field(default=None, description="The path that is called.")


Steps = tuple[tuple[Call, ...], ...]
"""Steps in turn; the calls of one step are made side by side."""


_VARIABLES = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}
_CALL = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Call"}]}
_STEPS = {"type": "array", "items": {"anyOf": [_CALL, {"type": "array", "items": _CALL}]}}
_CALLS = {"anyOf": [_STEPS, {"type": "object", "additionalProperties": _STEPS}]}


class OwnService(_Form):
    """One service: how its servers come alive, how many there are, and whom they call."""

    app: str | None = Field(
        default=None, description="`module:name` of an ASGI app or of a factory, as uvicorn takes it."
    )
    python: str | None = Field(default=None, description="The Python that runs `app`. By default the lab's.")
    command: Annotated[
        tuple[str, ...], BeforeValidator(read_command), _one_or_many({"type": ["string", "number"]})
    ] = Field(
        default=(), description="Any program: a list, or text that is split as a shell would; no shell runs."
    )
    url: Annotated[str | None, AfterValidator(read_base_url)] = Field(
        default=None, description="A service that runs already: called, never started."
    )
    kind: ServiceKind = Field(default=ServiceKind.HTTP, description="What speaks on its port: http or tcp.")
    ready: Route | None = Field(default=None, description="A path that answers 2xx once the server is ready.")
    ready_within: float = Field(
        default=60.0, gt=0, le=86400, description="Seconds that a server may take to become ready."
    )
    replicas: int = Field(default=1, ge=1, le=1000, description="How many instances there are.")
    policy: PolicyName | None = Field(default=None, description="How the balancer chooses an instance.")
    balancer: BalancerName | None = Field(default=None, description="The program that balances.")
    tuning: dict[str, float | bool | str | list[float | str]] = Field(
        default_factory=dict, description="Settings of the balancer, by name."
    )
    idempotent: Annotated[
        tuple[str, ...],
        BeforeValidator(as_list),
        AfterValidator(read_routes),
        _one_or_many({"type": "string"}),
    ] = Field(
        default=("GET", "HEAD", "OPTIONS"),
        description="What may be sent again after a failure: `GET`, or `POST /search`.",
    )
    calls: Annotated[dict[str, Steps], BeforeValidator(read_calls)] = Field(
        default_factory=dict,
        description="Whom it calls, in turn; an inner list is called side by side. Or a mapping of a "
        "route of its own to such a list.",
    )
    env: Annotated[dict[str, str], WithJsonSchema(_VARIABLES)] = Field(
        default_factory=dict, description="Environment variables; {port}, {search.url} … are filled in."
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="The port of an app that insists on one."
    )
    hops: bool = Field(default=False, description="Measure at a pass-through where there is no balancer.")
    cpu_limit: float | None = Field(default=None, gt=0, description="Cores that an instance gets.")
    memory_limit_mb: float | None = Field(default=None, gt=0, description="Memory that an instance gets.")
    image: str | None = Field(default=None, description="The image of its containers.")
    build: str | None = Field(default=None, description="The folder that its image is built from.")

    @property
    def is_balanced(self) -> bool:
        """Whether a balancer stands before its instances: there are several, or one is asked for."""
        return self.replicas > 1 or bool(self.balancer or self.policy or self.tuning)

    @property
    def steps(self) -> Steps:
        """All calls of all routes: those of a later route after those of an earlier one."""
        return tuple(step for steps in self.calls.values() for step in steps)

    @property
    def called(self) -> tuple[str, ...]:
        """The services that it calls, each once, in the order of its calls."""
        return tuple(dict.fromkeys(call.service for step in self.steps for call in step))

    @model_validator(mode="after")
    def _comes_alive_in_one_way(self) -> Self:
        _check_service(self)
        return self


class Pipeline(_Form):
    """A directed graph of services without circles, and what to send to its entry.

    Raises BadParameter, a line for each mistake. Relative paths are relative to `folder`, which is that of
    the pipeline file.
    """

    version: Literal[1] = Field(default=1, description="The version of this form.")
    name: Annotated[str, AfterValidator(read_name)] = Field(description="The name of the pipeline.")
    entry: Entry = Field(description="What is sent, and where.")
    services: dict[str, OwnService] = Field(min_length=1, description="The services, by name.")
    folder: Path = Field(default=Path(), exclude=True, json_schema_extra={"x-own": True})

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise BadParameter("\n".join(lines_of(error, type(self)))) from error

    def content(self) -> bytes | None:
        """Return the body that is sent to the entry. Raises BadParameter where its file cannot be read."""
        entry = self.entry
        if entry.requests is not None:
            raise BadParameter("a mix of requests cannot be sent yet: give body or body_file in its place")
        if entry.body_file is not None:
            try:
                return (self.folder / entry.body_file).read_bytes()
            except OSError as error:
                raise BadParameter(f"body_file {entry.body_file} cannot be read: {error.strerror}") from None
        if entry.body is None or isinstance(entry.body, str):
            return entry.body.encode() if entry.body else None
        return json.dumps(entry.body).encode()

    @property
    def balancer(self) -> BalancerName | None:
        """The program that balances its services, where one is named."""
        return next((form.balancer for form in self.services.values() if form.balancer), None)

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        found = list(_mistakes(self))
        if found:
            raise joined(type(self).__name__, found)
        return self


def of_data(data: Any, folder: Path) -> Pipeline:
    """Make a pipeline of a document's data, whose relative paths are relative to `folder`."""
    if not isinstance(data, dict):
        raise BadParameter("a pipeline is a mapping with the keys name, entry and services")
    if "folder" in data:
        raise BadParameter("folder is no key of a file: its paths are relative to where it lies")
    return Pipeline(**{**data, "folder": folder, "version": plain(data.get("version", 1))})


def json_schema() -> dict[str, Any]:
    """Return the form of a pipeline file as a JSON Schema, which editors complete and check by."""
    schema = Pipeline.model_json_schema()
    schema["properties"].pop("folder")
    calls = schema["$defs"]["OwnService"]["properties"]["calls"]
    calls.pop("additionalProperties")
    calls.pop("type")
    calls.update(_CALLS)  # a file may say them more shortly than the form that they are brought to
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _check_service(service: OwnService) -> None:
    """Raise ValueError where the keys of one service contradict each other."""
    ways = [way for way in ("app", "command", "url") if getattr(service, way)]
    if len(ways) > 1:
        raise ValueError(f"{' and '.join(ways)} are given: a service comes alive in one way, so keep one")
    if not (ways or service.image or service.build):
        raise ValueError("nothing says how it comes alive: give app, command, url, image or build")
    if service.url:
        _refuse(service, "url", "runs already and is only called", _STARTED)
    if not service.app:
        _refuse(service, ways[0] if ways else "image", "has no use for python", ("python",))
    if service.kind == "tcp":
        _refuse(service, "kind: tcp", "is started and waited for, never balanced or measured", _BALANCED)
    if service.port and service.replicas > 1:
        raise ValueError(
            f"port {service.port} is given and replicas is {service.replicas}: two instances cannot listen "
            "on one port; drop port and read {port} or $PORT in the program"
        )


_STARTED = ("port", "env", "ready", "replicas", "cpu_limit", "memory_limit_mb", "image", "build")
_BALANCED = ("replicas", "policy", "balancer", "tuning", "idempotent", "hops", "ready", "calls")


def _refuse(service: OwnService, way: str, why: str, keys: Iterable[str]) -> None:
    given = [key for key in keys if key in service.model_fields_set]
    if given:
        raise ValueError(f"a service with {way} {why}: drop {', '.join(given)}")


def _mistakes(pipeline: Pipeline) -> Iterator[Mistake]:
    """Yield what is wrong between the services: where, and what."""
    known = pipeline.services
    entry = known.get(pipeline.entry.service)
    if entry is None:
        yield ("entry", "service"), unknown_name(pipeline.entry.service, known)
    elif entry.kind == "tcp":
        yield ("entry", "service"), f"{pipeline.entry.service} has kind tcp, and the entry speaks HTTP"
    yield from _names(known)
    yield from _ports(known)
    yield from _balancers(known)
    lost = list(_lost_calls(known))
    yield from lost
    circle = None if lost else circle_of({name: service.called for name, service in known.items()})
    if circle:
        way = " → ".join([*circle, circle[0]])
        yield ("services", circle[0], "calls"), f"calls run in a circle: {way}; a request would never end"


def _lost_calls(known: Mapping[str, OwnService]) -> Iterator[Mistake]:
    for caller, service in known.items():
        for route, steps in service.calls.items():
            for at, step in enumerate(steps):
                for place, call in enumerate(step):
                    if call.service not in known:
                        where = ("services", caller, "calls", route, at, place, "service")
                        yield where, unknown_name(call.service, known)


def _names(known: Mapping[str, OwnService]) -> Iterator[Mistake]:
    stems: dict[str, str] = {}
    for service in known:
        if not is_name(service):
            yield ("services", service), f"{service!r} is no name of a service: {NAME_REMEDY}"
        stem = variable_stem(service)
        if stem in stems:
            both = f"{stems[stem]} and {service}"
            yield ("services", service), f"{both} would both be found in {stem}_URL: rename one"
        stems.setdefault(stem, service)


def _balancers(known: Mapping[str, OwnService]) -> Iterator[Mistake]:
    named = {name: form.balancer for name, form in known.items() if form.balancer}
    for name, balancer in named.items():
        first = next(iter(named))
        if balancer is not named[first]:
            text = f"{first} has {named[first]}, and one program balances all services: choose one"
            yield ("services", name, "balancer"), text


def _ports(known: Mapping[str, OwnService]) -> Iterator[Mistake]:
    taken: dict[int, str] = {}
    for name, service in known.items():
        if service.port in taken:
            yield ("services", name, "port"), f"{taken[service.port]} has port {service.port} already"
        if service.port:
            taken.setdefault(service.port, name)


def variable_stem(service: str) -> str:
    """Return what the variables begin with in which others find a service: `SEARCH` of `SEARCH_URL`."""
    return service.upper().replace("-", "_").replace(".", "_")
