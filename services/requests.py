"""Reading a request: its body, within a limit of size and time, and its budget of time."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from fastapi import HTTPException, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

__all__ = ["DEADLINE_HEADER", "parse", "read_body", "read_budget_s"]

DEADLINE_HEADER = "x-request-deadline-ms"
"""How much longer the caller waits, in whole milliseconds."""

MessageT = TypeVar("MessageT", bound=BaseModel)


async def read_body(request: Request, limit_bytes: int, timeout_s: float) -> bytes:
    """The whole body.

    Raises HTTPException: 413 above the limit, declared or not; 408 when it comes too slowly; 400 when it ends
    early.
    """
    too_large = HTTPException(413, f"the body is larger than {limit_bytes} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit_bytes:
                    raise too_large
                chunks.append(chunk)
    except TimeoutError as error:
        # What is still to come would be taken for the next request.
        headers = {"connection": "close"}
        raise HTTPException(408, f"the body did not come within {timeout_s:g} s", headers) from error
    except ClientDisconnect as error:
        raise HTTPException(400, "the body was cut short") from error
    return b"".join(chunks)


def parse(kind: type[MessageT], body: bytes) -> MessageT:
    """The message in a JSON body. Raises HTTPException 422 with what is wrong, but not the body itself."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(422, [{**e, "loc": ("body", *e["loc"])} for e in wrong]) from error


def read_budget_s(request: Request) -> float | None:
    """How much longer the caller waits, in seconds, or None if it does not say. Raises HTTPException 422."""
    text = request.headers.get(DEADLINE_HEADER)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        problem = {
            "type": "deadline",
            "loc": ("header", DEADLINE_HEADER),
            "msg": "Input should be whole milliseconds",
        }
        raise HTTPException(422, [problem])
    return int(text) / 1000
