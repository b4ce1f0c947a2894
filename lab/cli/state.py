"""What is up on this machine, so that any shell can find it: one file for each offset of the ports."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.cli.topology_options import TopologyOptions
from lab.errors import NotRunning, PlacementError
from services.names import ProtocolName

__all__ = ["Upkeep", "claimed", "everything_up", "find", "require_free", "state_directory"]

SOCKET_PATH_LIMIT = 100
"""Bytes in the path of a Unix socket that every system takes; macOS ends at 103."""
SAME_START_S = 1.0
"""Start times of a process that differ by less are the same one's: the system rounds them."""

_REMEDY = "end it with `lab down`, or choose other ports with --offset"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A topology that a process keeps up: `lab up` writes it, the other commands read it."""

    options: TopologyOptions
    pid: int
    started: float
    """When that process started, in seconds since the epoch: its pid may have gone to another since."""
    control: Path
    """The Unix socket by which it takes commands; no other process has one of that name."""

    @classmethod
    def of_this_process(cls, options: TopologyOptions) -> Upkeep:
        """What this very process keeps up."""
        control = _file(options.offset, f"{os.getpid()}.sock")
        if len(os.fsencode(control)) > SOCKET_PATH_LIMIT:
            control = Path(tempfile.mkdtemp(prefix="pipeline-lab-")) / "control.sock"
        return cls(options, os.getpid(), psutil.Process().create_time(), control)

    @property
    def path(self) -> Path:
        """Where it is written."""
        return _file(self.options.offset, "json")

    @property
    def alive(self) -> bool:
        """Whether the process that kept it up still does."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def write(self) -> None:
        """Let other shells find it, all of the file at once."""
        data = {
            "options": self.options.to_json(),
            "pid": self.pid,
            "started": self.started,
            "control": str(self.control),
        }
        unfinished = self.path.with_suffix(f".{self.pid}")
        unfinished.write_text(json.dumps(data), encoding="utf-8")
        unfinished.replace(self.path)

    def remove(self) -> None:
        """Let nobody find it any more. What another process wrote in its place stays."""
        if _read(self.path) == self:
            self.path.unlink(missing_ok=True)
        self.control.unlink(missing_ok=True)
        if self.control.parent != self.path.parent:
            with suppress(OSError):  # by another shell, just now
                self.control.parent.rmdir()


@contextmanager
def claimed(offset: int) -> Iterator[None]:
    """No other process may bring anything up at that offset. Raises PlacementError where one already does.

    The system gives the claim back with the process, however that ends; the empty file stays.
    """
    with _file(offset, "lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            require_free(offset)
            raise PlacementError(
                "something is being brought up on these ports already: wait for it, "
                "or choose others with --offset"
            ) from None
        yield


def require_free(offset: int) -> None:
    """Raises PlacementError where something is up at that offset."""
    for upkeep in everything_up():
        if upkeep.options.offset == offset:
            raise PlacementError(f"{upkeep.options.topology} is up already (pid {upkeep.pid}): {_REMEDY}")


def everything_up() -> list[Upkeep]:
    """All that is up, by offset. What was left by a process that died is removed on the way."""
    found = []
    for path in sorted(state_directory().glob("up-*.json")):
        upkeep = _read(path)
        if upkeep is None:
            path.unlink(missing_ok=True)
        elif upkeep.alive:
            found.append(upkeep)
        else:
            upkeep.remove()
    return sorted(found, key=lambda upkeep: upkeep.options.offset)


def find(offset: int | None = None, protocol: ProtocolName | None = None) -> Upkeep:
    """What is up at that offset and speaks that, or the only one. Raises NotRunning for none or several."""
    up = everything_up()
    at = [
        upkeep
        for upkeep in up
        if offset in (None, upkeep.options.offset) and protocol in (None, upkeep.options.protocol)
    ]
    if len(at) == 1:
        return at[0]
    if not up:
        raise NotRunning("nothing is up: start something with `lab up parallel --detach`")
    names = ", ".join(
        f"{u.options.topology} ({u.options.protocol}) at --offset {u.options.offset}" for u in up
    )
    raise NotRunning(f"say which is meant: up are {names}" if at else f"nothing is up there: up are {names}")


def state_directory() -> Path:
    """The user's own directory for this, made where it is missing; nobody else may look into it.

    Raises PlacementError where it cannot be made or written to.
    """
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        directory = Path(runtime) / "pipeline-lab"
    elif sys.platform == "darwin":
        directory = Path.home() / "Library" / "Caches" / "pipeline-lab"
    else:
        directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipeline-lab"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(directory, os.W_OK | os.X_OK)
    except OSError:
        writable = False
    if not writable:
        raise PlacementError(
            f"{directory}, which tells other shells what is up, cannot be written: "
            "set XDG_RUNTIME_DIR to a directory of yours"
        )
    return directory


def _file(offset: int, suffix: str) -> Path:
    return state_directory() / f"up-{offset}.{suffix}"


def _read(path: Path) -> Upkeep | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Upkeep(
            TopologyOptions.from_json(data["options"]), data["pid"], data["started"], Path(data["control"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # written by another version, or half
