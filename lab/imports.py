"""The optional parts of the distribution: who asks for one that is not installed is told what to install."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from lab.errors import ExtraMissing

__all__ = ["Extra", "needing"]


class Extra(StrEnum):
    """What can be installed beside the rest, as in `pip install 'pipeline-lab[grpc]'`."""

    GRPC = "grpc"


@contextmanager
def needing(extra: Extra, what: str) -> Iterator[None]:
    """For imports that only the extra brings. `what` needs them, as the message begins.

    Raises ExtraMissing for a module that is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ExtraMissing(
            f"{what} needs {error.name}, which is not installed: pip install 'pipeline-lab[{extra}]'"
        ) from None
