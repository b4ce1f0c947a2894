"""What is chosen by name: the member itself, wherever only its name is given."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

__all__ = ["choice"]

N = TypeVar("N", bound=StrEnum)


def choice(kind: type[N], field: str, name: str) -> N:
    """The one of that name; it may be given as a plain string, which is equal to it and not the same.

    Raises ValueError, naming the field and all there are.
    """
    try:
        return kind(name)
    except ValueError:
        raise ValueError(f"{field} must be one of {', '.join(kind)}, not {name!r}") from None
