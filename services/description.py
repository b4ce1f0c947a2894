"""What /openapi.json says of a service: its route's request and response, with what it answers otherwise.

Only a service started on its own is described: in a topology of twenty nobody asks.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from services.messages import PipelineResponse
from services.stages import PipelineStage

__all__ = ["Failure", "describe", "description"]


class Failure(BaseModel):
    """Any answer but a result: what went wrong, in words, or as a list of problems with the request."""

    detail: str | list[dict[str, Any]]


_FAILURES = {
    413: "The body is over the limit.",
    422: "The body, or X-Request-Deadline-Ms, makes no sense.",
    502: "The next service failed.",
    503: "The queue is full, or the next service cannot answer: Retry-After says when to come back.",
    504: "The time that the client gave, or the next service's, is over.",
}
_REFERENCE = "#/components/schemas/{model}"
_DEADLINE = {
    "name": "X-Request-Deadline-Ms",
    "in": "header",
    "description": "How much longer the client waits, in whole milliseconds.",
    "schema": {"type": "integer", "minimum": 0},
}


def description(stage: PipelineStage) -> dict[str, Any]:
    """Return what FastAPI's add_api_route is told of the route of a stage, to go with `describe`."""
    failures = {status: {"model": Failure, "description": said} for status, said in _FAILURES.items()}
    schema = {"$ref": _REFERENCE.format(model=stage.takes.__name__)}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {
        "responses": {200: {"model": PipelineResponse, "description": "The result."}, **failures},
        "openapi_extra": {"requestBody": body, "parameters": [_DEADLINE]},
    }


def describe(app: FastAPI, stage: PipelineStage) -> None:
    """Add what a stage takes to the models of /openapi.json: FastAPI sees only what it answers."""
    rest = app.openapi

    def openapi() -> dict[str, Any]:
        document = rest()
        taken = stage.takes.model_json_schema(ref_template=_REFERENCE)
        schemas = {**taken.pop("$defs", {}), stage.takes.__name__: taken}
        document["components"]["schemas"].update(schemas)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it
