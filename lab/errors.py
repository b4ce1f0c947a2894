"""The errors that the lab raises on purpose, in one tree.

    LabError
    ├── BadParameter          a parameter that is unknown, ill-typed or out of range
    ├── ExtraMissing          an optional part of the distribution that is needed and not installed
    ├── PackageHidden         another package or module of the user's has the name of the lab's own
    ├── PlacementError        a topology that did not come or stay alive
    │   ├── PortInUse         another program listens on a port that a server wants
    │   ├── StartFailed       a server that did not become ready
    │   ├── NotRunning        a server or topology that is needed and not up
    │   ├── ProgramMissing    a balancer's program that is not installed
    │   └── NotSupported      a policy or protocol that this balancer does not have
    ├── LoadError             load that could not be generated
    │   ├── GeneratorFailed   the load generator's process died or gave no result
    │   ├── CorpusError       a corpus that holds no readable text
    │   └── RemoteRefused     a host that is not loopback, which the user has not allowed
    ├── ResultsError          results that cannot be written, read or trusted
    │   ├── SchemaMismatch    rows that break the contract of columns
    │   └── SweepMismatch     an existing sweep of that name has other parameters
    └── NotebookFailed        a notebook whose cell failed, timed out or lost its kernel

A message names the thing, the cause and the remedy, in this order and in one sentence where it can. The
command line prints it as it is, without a traceback.
"""

# ruff: noqa: N818 (an error is named for what happened, as the built-in KeyboardInterrupt is)

from __future__ import annotations

import sys

__all__ = [
    "BadParameter",
    "CorpusError",
    "ExtraMissing",
    "GeneratorFailed",
    "LabError",
    "LoadError",
    "NotRunning",
    "NotSupported",
    "NotebookFailed",
    "PackageHidden",
    "PlacementError",
    "PortInUse",
    "ProgramMissing",
    "RemoteRefused",
    "ResultsError",
    "SchemaMismatch",
    "StartFailed",
    "SweepMismatch",
    "advice",
    "in_kernel",
]


def in_kernel() -> bool:
    """Return whether this process is a notebook's kernel: only there IPython has a shell of a front end."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def advice(*, command: str, notebook: str) -> str:
    """Return the remedy in the words of whoever reads it: an option's, or a parameter's in a notebook."""
    return notebook if in_kernel() else command


class LabError(Exception):
    """The root of all errors that the lab raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Show the message alone in IPython, as the command line does, without a traceback."""
        return [f"{type(self).__name__}: {self}"]


class BadParameter(LabError, ValueError):
    """A parameter is unknown, ill-typed or out of range."""


class ExtraMissing(LabError):
    """An optional part of the distribution is needed and not installed."""


class PackageHidden(LabError, ImportError):
    """A package or module of the user's is imported in place of one of the lab's own."""


class PlacementError(LabError):
    """A topology did not come or stay alive."""


class PortInUse(PlacementError):
    """Another program listens on a port that a server wants."""


class StartFailed(PlacementError):
    """A server did not become ready in time, or died while starting."""


class NotRunning(PlacementError):
    """A server or topology is needed and not up."""


class ProgramMissing(PlacementError):
    """The program of a balancer is not installed."""


class NotSupported(PlacementError):
    """This balancer does not have the policy or protocol that the topology asks of it."""


class LoadError(LabError):
    """Load could not be generated."""


class GeneratorFailed(LoadError):
    """The load generator's process died, hung or gave no result."""


class CorpusError(LoadError):
    """A corpus holds no readable text."""


class RemoteRefused(LoadError):
    """The host is not loopback, and the user has not allowed loading it."""


class ResultsError(LabError):
    """Results cannot be written, read or trusted."""


class SchemaMismatch(ResultsError):
    """Rows break the contract of columns."""


class SweepMismatch(ResultsError):
    """A sweep of that name exists and was made with other parameters."""


class NotebookFailed(LabError):
    """A cell of a notebook failed or timed out, or its kernel died."""
