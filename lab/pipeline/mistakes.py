"""Say what is wrong in a pipeline: a line for each mistake, with its place and the nearest valid word."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from lab.pipeline.document import Document, Where, plain
from services.names import nearest

__all__ = ["Mistake", "joined", "lines_of", "unknown_name"]

Mistake = tuple[Where, str]
"""Where, and what is wrong there."""

_MISSING = "this key is missing"
_SHOULD = ": it should be "


def unknown_name(text: str, known: Iterable[str]) -> str:
    """Return what is said of a service that does not exist."""
    near = nearest(text, known)
    return f"there is no service {text!r}: " + (
        f"did you mean {near}?" if near else f"there are {', '.join(known)}"
    )


def joined(title: str, found: Iterable[Mistake]) -> ValidationError:
    """Return one error that holds all of these mistakes."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("pipeline", "{what}", {"what": what}), loc=where, input=None
        )
        for where, what in found
    ]
    return ValidationError.from_exception_data(title, details)


def lines_of(error: ValidationError, root: type[BaseModel], document: Document | None = None) -> list[str]:
    """Return a line for each mistake: with file and line where a document is given, and the nearest word."""
    found: dict[Where, list[str]] = {}
    for detail in error.errors(include_url=False):
        where: Where = tuple(step for step in detail["loc"] if not _is_internal(step))
        found.setdefault(where, []).append(_what(detail, root, where))
    return [_line(where, said, document) for where, said in found.items()]


def _line(where: Where, said: Sequence[str], document: Document | None) -> str:
    """Return one line of what is wrong at one place: alternatives of a type are joined by "or"."""
    what = " or ".join([said[0], *filter(None, (text.partition(_SHOULD)[2] for text in said[1:]))])
    shown = where if document is None or said[0] == _MISSING else document.nearest(where)
    place = ".".join(str(step) for step in shown if step != "")  # "" stands for the calls of every route
    text = f"{place}: {what}" if place else what
    return document.mistake(where, text) if document else text


def _is_internal(step: str | int) -> bool:
    """Tell whether a step of an error's way names an alternative of a type, and no part of the data."""
    return isinstance(step, str) and bool(re.search(r"\[|^(str|float|bool|int)$", step))


def _what(detail: Any, root: type[BaseModel], where: Where) -> str:
    kind, context, given = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "extra_forbidden":
        keys = sorted(_keys_at(root, where[:-1]))
        near = nearest(str(where[-1]), keys)
        return "no such key: " + (f"did you mean {near}?" if near else f"there are {', '.join(keys)}")
    if kind == "missing":
        return _MISSING
    if kind in ("value_error", "pipeline"):
        return str(context.get("error") or context.get("what"))
    if kind in ("enum", "literal_error"):
        allowed = re.findall(r"'([^']*)'|(\d+)", context.get("expected", ""))
        names = [quoted or bare for quoted, bare in allowed]
        near = nearest(str(given), names)
        hint = f"did you mean {near}? There are" if near else "give one of"
        return f"{_short(given)} is none of its values: {hint} {', '.join(names)}"
    said = re.sub(r"^Input should be ", "", detail["msg"])
    return f"{_short(given)} does not fit{_SHOULD}{said[0].lower()}{said[1:]}"


def _short(given: Any) -> str:
    if given is None:
        return "nothing"
    text = repr(str(given)) if isinstance(given, str) else json.dumps(plain(given), default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _keys_at(root: type[BaseModel], where: Where) -> set[str]:
    """Return the keys that the form has where an unknown one stands."""
    model: Any = root
    for step in where:
        field = model.model_fields.get(step) if isinstance(step, str) else None
        inner = _model_in(field.annotation) if field else None
        model = inner or model
    return {
        key
        for key, field in model.model_fields.items()
        if not (isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("x-own"))
    }


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_model_in, get_args(annotation))), None)
