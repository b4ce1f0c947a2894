"""How the lab imports: names on first use, extras that may be missing, packages that may be hidden.

`lazily` lets a package offer names that it imports on first use. `needing` says what to install for an
import that only an extra brings. `require_own` refuses a package of the user's that hides one of the lab's
own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from lab.errors import ExtraMissing, PackageHidden

__all__ = ["Extra", "lazily", "needing", "require_own"]


class Extra(StrEnum):
    """An optional part of the distribution, as in `pip install 'pipeline-lab[grpc]'`."""

    BALANCERS = "balancers"
    CLIENTS = "clients"
    GRPC = "grpc"
    JUPYTER = "jupyter"


@contextmanager
def needing(extra: Extra, what: str) -> Iterator[None]:
    """Guard imports that only the extra brings; `what` names who needs them, at the head of the message.

    A context manager. Raises ExtraMissing for a module that is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        from services.extras import install_command  # may be hidden, which `require_own` is for

        raise ExtraMissing(
            f"{what} needs {error.name}, which is not installed: {install_command(extra)}"
        ) from None


def lazily(
    package: str, homes: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make the `__getattr__` and `__dir__` of a package (PEP 562) that imports names on first use.

    `homes` gives the names that each module defines.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(home)
        value = getattr(module, name)
        # The next look-up finds them without coming here, and finds no module of the name that it is in.
        own = vars(sys.modules[package])
        own.update({each: getattr(module, each) for each in homes[home] if hasattr(module, each)})
        return value

    def known() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return find, known


def require_own(package: str) -> None:
    """Check that `package`, imported or not yet, is the one that lies beside `lab`.

    Raises PackageHidden for another of that name, which an uncaught error then shows as one line.
    """
    loaded = sys.modules.get(package)
    spec = loaded.__spec__ if loaded else find_spec(package)
    found = (spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))) or "nowhere"
    own = os.path.join(os.path.dirname(__file__), os.pardir, package, "__init__.py")
    if os.path.realpath(found) != os.path.realpath(own):
        sys.excepthook = _show_hidden
        raise PackageHidden(
            f"{package} is imported from {found}, which hides the lab's own: rename it or run from elsewhere"
        )


def _show_hidden(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the message of PackageHidden alone: the user's own import led to it, and no call of theirs."""
    if isinstance(error, PackageHidden):
        print(error, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
