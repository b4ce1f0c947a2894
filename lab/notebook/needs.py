"""Which extras a notebook needs for what was typed: `python -m lab.notebook.needs NOTEBOOK -p …`.

`nox -s sweep` asks before it runs the notebook, and adds what is not there: the default needs no extra.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from typing import Any

from lab.errors import LabError, ProgramMissing
from lab.imports import Extra
from lab.names import BalancerName
from services.environment import SettingsError
from services.names import ClientName, ProtocolName

__all__ = ["extras_of", "main"]

_BALANCERS = frozenset({"balancer", "balancers"})
_CLIENTS = frozenset({"client", "clients", "compared", "documented"})
_PROTOCOLS = frozenset({"protocol"})
"""Names of parameters, in all notebooks, by what their values name."""


def extras_of(values: Mapping[str, Any]) -> set[Extra]:
    """Return the extras that these values of parameters need and this environment lacks."""
    return set(_lacking(values))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each extra that is needed and not there; nothing for what the notebook will refuse."""
    from lab.notebook.__main__ import parser
    from lab.notebook.parameters import parameters_of, read_notebook, read_parameters

    try:
        with redirect_stderr(StringIO()):
            options = parser().parse_args(arguments)
        notebook = read_notebook(options.notebook)
        typed = read_parameters(notebook, options.parameter)
    except (LabError, OSError, SystemExit):
        return 0
    defaults = {name: parameter.default for name, parameter in parameters_of(notebook).items()}
    for extra in sorted(extras_of(defaults | typed)):
        print(extra)
    return 0


def _lacking(values: Mapping[str, Any]) -> Iterator[Extra]:
    if any(_program_missing(name) for name in _named(values, _BALANCERS)):
        yield Extra.BALANCERS
    if any(_client_missing(name) for name in _named(values, _CLIENTS)):
        yield Extra.CLIENTS
    if ProtocolName.GRPC in _named(values, _PROTOCOLS) and find_spec("grpc") is None:
        yield Extra.GRPC


def _named(values: Mapping[str, Any], parameters: Iterable[str]) -> set[str]:
    """Collect what the parameters name, one by one or in lists."""
    found = [values.get(name) for name in parameters]
    return {str(each) for value in found for each in (value if isinstance(value, list) else [value])}


def _program_missing(name: str) -> bool:
    from lab.placement.proxies import PROXIES
    from lab.placement.proxies.proxy import find

    if name not in set(BalancerName) - {BalancerName.BUILTIN}:
        return False
    try:
        find(PROXIES[BalancerName(name)].program)
    except ProgramMissing:
        return True
    return False


def _client_missing(name: str) -> bool:
    from services.clients import require

    if name not in set(ClientName):
        return False
    try:
        require(ClientName(name))
    except SettingsError:
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
