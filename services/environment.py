"""Environment variables as data: their names, the fields they set, how they are read, and misspelt ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any

from services.names import nearest

__all__ = [
    "NAME_REMEDY",
    "NONE",
    "SettingsError",
    "Variable",
    "is_name",
    "number",
    "one_of",
    "port",
    "refuse_unknown",
    "set_in",
    "whole",
    "yes_or_no",
]


NONE = "none"
"""What a variable is set to for nothing at all: no paths, no next hop, no instances."""


class SettingsError(ValueError):
    """A setting that makes no sense. The message names the variable, its value and the remedy."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: the field it sets, how its text is read, and its meaning.

    `field` may reach into a part, as in `work.slots`. `read` raises ValueError with the remedy. `meaning` is
    the variable's line in a table of variables.
    """

    name: str
    field: str
    read: Callable[[str], Any]
    meaning: str

    def put(self, values: dict[str, Any], text: str) -> None:
        """Set the field in `values` to what the text stands for. Raises SettingsError for other text."""
        part, _, name = self.field.partition(".")
        try:
            value = self.read(text)
            values[part] = replace(values[part], **{name: value}) if name else value
        except ValueError as error:
            raise SettingsError(f"{self.name} is {text!r}: {error}") from error

    def text(self, settings: object) -> str:
        """Return the text that `put` reads as the value in `settings`: empty for None."""
        value = attrgetter(self.field)(settings)
        return "" if value is None else str(value)


def is_name(text: str) -> bool:
    """Tell whether a text can be a server's name, which stands in headers, URLs, variables and file names."""
    return _NAME.fullmatch(text) is not None


NAME_REMEDY = "use letters, digits, '.', '_' and '-'"
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def whole(text: str) -> int:
    """Read a whole number. Raises ValueError with the remedy."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("give a whole number") from None


def port(text: str) -> int:
    """Read the number of a port. Raises ValueError with the remedy."""
    number = whole(text)
    if not 0 <= number < 65536:
        raise ValueError("give 0 (any free port) to 65535")
    return number


def number(text: str) -> float:
    """Read a number. Raises ValueError with the remedy."""
    try:
        return float(text)
    except ValueError:
        raise ValueError("give a number") from None


def yes_or_no(text: str) -> bool:
    """Read True or False. Raises ValueError with the remedy."""
    if text not in ("True", "False"):
        raise ValueError("give True or False")
    return text == "True"


def one_of(choices: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Return a reader of the names of `choices`, which raises ValueError with the remedy."""

    def read(text: str) -> StrEnum:
        try:
            return choices(text)
        except ValueError:
            raise ValueError(f"give one of {', '.join(choices)}") from None

    return read


def set_in(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that are set: not to nothing, and not by Kubernetes for a service of its own.

    Kubernetes sets SERVICE1_PORT, SERVICE1_SERVICE_HOST and more of that form for a service1, and where a
    service is called `service` or `balancer`, SERVICE_PORT or BALANCER_PORT, to a URL.
    """
    return {
        name: text
        for name, text in environ.items()
        if text and not _KUBERNETES.fullmatch(name) and not (name.endswith("_PORT") and "://" in text)
    }


def refuse_unknown(given: Mapping[str, str], own: Iterable[Variable], others: Iterable[Variable]) -> None:
    """Raise SettingsError for a `SERVICE_…` or `BALANCER_…` that no program knows: likely a misspelt one.

    `own` are the variables of the program, `others` those of the program it runs beside.
    """
    names = [variable.name for variable in (*own, *others)]
    for name in sorted(given.keys() - set(names)):
        ours = _OURS.match(name)
        if ours is None or _OF_ONE_SERVICE.fullmatch(name):
            continue
        hint = _hint(name, ours[0], names)
        secret = "TOKEN" in name or hint.endswith("_TOKEN?")
        value = "set" if secret else repr(given[name])
        raise SettingsError(f"{name} is {value}, and no such setting exists: {hint}")


_OURS = re.compile(r"(?:SERVICE[0-9]*|BALANCER)_")
_OF_ONE_SERVICE = re.compile(r"SERVICE[0-9]+_(?:URL|INSTANCES)")
"""Variables that are named after a service: the base URL by which it is called, and its instances."""
_KUBERNETES = re.compile(
    r"\w+_SERVICE_(?:HOST|PORT(?:_\w+)?)|\w+_PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?"
    r"|SERVICE[0-9]+(?:_\w+)?_PORT"
)


def _hint(name: str, prefix: str, names: list[str]) -> str:
    """Return which of the names an unknown one may stand for: first among those with the same prefix."""
    alike = [known for known in names if known.startswith(prefix)]
    alike = alike or [f"{prefix}URL", f"{prefix}INSTANCES"]
    for among in (alike, names):
        # Without the prefix, which alone would make any two of them alike.
        stems = {_OURS.sub("", known, count=1): known for known in reversed(among)}
        near = nearest(name.removeprefix(prefix), stems)
        if near:
            return f"did you mean {stems[near]}?"
    return f"there are {', '.join(alike)}"
