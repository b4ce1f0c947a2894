"""What a service makes of the next hop's answer."""

from __future__ import annotations

import json

from fastapi import HTTPException, Response
from pydantic import ValidationError

from services.hops import Answer
from services.messages import PipelineResponse

__all__ = ["SERVER_TIMING", "relay"]

SERVER_TIMING = "server-timing"
_QUOTED_CHARS = 500


def relay(answer: Answer, hop: str) -> Response:
    """The next hop's result, or its 503 with Retry-After, as they are and with its Server-Timing.

    Anything else is a failure of the hop, named in the detail: HTTPException 504 where it ran out of time
    itself, 502 otherwise. A 503 is left alone so that each caller behind does not make a retry of it.
    """
    if answer.status == 503:
        names = ("content-type", "retry-after", SERVER_TIMING)
        return Response(
            answer.body, 503, {name: answer.headers[name] for name in names if _plain(answer, name)}
        )
    timing = {SERVER_TIMING: answer.headers[SERVER_TIMING]} if _plain(answer, SERVER_TIMING) else {}
    if answer.status != 200:
        status = 504 if answer.status == 504 else 502
        raise HTTPException(status, f"{hop} answered {answer.status}: {_reason(answer)}", timing)
    try:
        PipelineResponse.model_validate_json(answer.body)
    except ValidationError as error:
        raise HTTPException(
            502, f"{hop} answered 200, but not with a result of the pipeline", timing
        ) from error
    return Response(answer.body, 200, timing, "application/json")


def _plain(answer: Answer, name: str) -> bool:
    """Whether there is such a header, and one that may be sent on."""
    value = answer.headers.get(name, "")
    return bool(value) and value.isascii() and value.isprintable()


def _reason(answer: Answer) -> str:
    """The detail of an error that a service of ours answered, or else the beginning of what it is."""
    try:
        detail = json.loads(answer.body)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        detail = answer.body.decode("utf-8", "replace")
    return str(detail)[:_QUOTED_CHARS]
