"""Read the values of a pipeline's keys: what may be written in several ways, and what is refused.

Each function returns the value in its full form, or raises ValueError with the remedy.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from lab.pipeline.document import Scalar, plain
from services.addresses import is_http_url
from services.environment import NAME_REMEDY, is_name

__all__ = [
    "as_list",
    "read_base_url",
    "read_body",
    "read_calls",
    "read_command",
    "read_method",
    "read_name",
    "read_path",
    "read_route",
    "read_routes",
]

_METHOD = re.compile(r"[A-Z][A-Z-]*")


def read_name(text: str) -> str:
    """Accept a name that can stand in headers, variables and file names. Raises ValueError."""
    if not is_name(text):
        raise ValueError(f"{text!r} is no name: {NAME_REMEDY}")
    return text


def read_method(text: str) -> str:
    """Accept a method of HTTP. Raises ValueError."""
    if not _METHOD.fullmatch(text):
        raise ValueError(f"{text!r} is no method of HTTP: give GET, POST …, in capitals")
    return text


def read_path(text: str) -> str:
    """Accept a path, with a query if there is one. Raises ValueError."""
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{text!r} is no path: it begins with '/' and has no blanks, as in /checkout")
    return text


def read_base_url(text: str | None) -> str | None:
    """Accept `http://host:port`. Raises ValueError."""
    if text is not None and not is_http_url(text.rstrip("/"), with_path=False):
        raise ValueError(f"{text!r} is no base URL: give http://host:port, without a path")
    return text.rstrip("/") if text else text


def as_list(value: Any) -> Any:
    """Make a list of one item that stands alone."""
    return value if isinstance(value, list | tuple) else [value]


def read_route(text: str) -> str:
    """Accept a method, alone or with a path: `GET`, `POST /search`. Raises ValueError."""
    word, _, rest = text.partition(" ")
    if not _METHOD.fullmatch(word) or (rest and not rest.startswith("/")):
        raise ValueError(f"{text!r} is no route: give a method, as in GET, or both, as in POST /search")
    return text


def read_routes(texts: Sequence[str]) -> tuple[str, ...]:
    """Accept routes. Raises ValueError."""
    return tuple(map(read_route, texts))


def read_body(value: Any) -> Any:
    """Keep text as it was written, and make of a mapping or list what YAML makes of it."""
    return str(value) if isinstance(value, Scalar) else plain(value)


def read_command(value: Any) -> Any:
    """Split text as a shell would. Raises ValueError for an open quote."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"{value!r} cannot be split as a shell would ({error}): give a list") from None
    return value


def read_calls(value: Any) -> Any:
    """Bring calls to their full form: by route, a list of steps, each a list of mappings.

    A list stands for the calls of every route, under the route `""`.
    """
    if not isinstance(value, Mapping):
        return {"": [_step(step) for step in as_list(value)]}
    return {read_route(str(key)): [_step(step) for step in as_list(steps)] for key, steps in value.items()}


def _step(step: Any) -> list[Any]:
    return [{"service": call} if isinstance(call, str) else call for call in as_list(step)]
