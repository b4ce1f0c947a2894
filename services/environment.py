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
    "SettingsError",
    "Variable",
    "is_name",
    "number",
    "one_of",
    "refuse_unknown",
    "whole",
    "yes_or_no",
]


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


def refuse_unknown(prefix: str, given: Mapping[str, str], known: Iterable[str]) -> None:
    """Raise SettingsError for a variable with the prefix that is none of the known: likely a misspelt one."""
    names = list(known)
    for name in sorted(given.keys() - set(names)):
        if name.startswith(prefix):
            # Without the prefix, which alone would make any two of them alike.
            stems = [known_name.removeprefix(prefix) for known_name in names]
            near = nearest(name.removeprefix(prefix), stems)
            hint = f"did you mean {names[stems.index(near)]}?" if near else f"there are {', '.join(names)}"
            raise SettingsError(f"{name} is {given[name]!r}, and no such setting exists: {hint}")
