"""Record what is up on this machine, so that any shell finds it: one file for each offset of the ports."""

from __future__ import annotations

import fcntl
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lab.cli.topology_options import TopologyOptions
from lab.errors import NotRunning, PlacementError
from services.names import ProtocolName

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Upkeep", "claimed", "everything_up", "find_upkeep", "require_free", "state_directory"]

NAME = "pipeline-lab"
SOCKET_PATH_LIMIT = 100
"""Bytes in the path of a Unix socket that every system takes; macOS ends at 103."""
SAME_START_S = 1.0
"""Start times of a process that differ by less are equal: the system rounds them."""

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
        """Describe a topology that this process is about to keep up."""
        import psutil  # takes a while, as in `alive`, and `lab --help` comes this way

        control = _file(options.offset, f"{os.getpid()}.sock")
        if len(os.fsencode(control)) > SOCKET_PATH_LIMIT:
            control = Path(tempfile.mkdtemp(prefix=f"{NAME}-")) / "control.sock"
        return cls(options, os.getpid(), psutil.Process().create_time(), control)

    @property
    def path(self) -> Path:
        """The file it is written to."""
        return _file(self.options.offset, "json")

    @property
    def alive(self) -> bool:
        """Whether the process that kept the topology up still does."""
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < SAME_START_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def write(self) -> None:
        """Write the file that other shells find, all of it at once."""
        unfinished = self.path.with_suffix(f".{self.pid}")
        unfinished.write_bytes(_json().dump_json(self))
        unfinished.replace(self.path)

    def remove(self) -> None:
        """Remove the file and the socket. A file that another process wrote in its place stays."""
        if _read(self.path) == self:
            self.path.unlink(missing_ok=True)
        self.control.unlink(missing_ok=True)
        if self.control.parent != self.path.parent:
            with suppress(OSError):  # another shell may have removed it just now
                self.control.parent.rmdir()


@contextmanager
def claimed(offset: int) -> Iterator[None]:
    """Hold the offset of the ports against other processes inside the block.

    The system gives the claim back when this process ends, however it does; the empty file stays. Raises
    PlacementError where another process holds the offset.
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
    """Check that nothing is up at the offset. Raises PlacementError."""
    for upkeep in everything_up():
        if upkeep.options.offset == offset:
            raise PlacementError(f"{upkeep.options.name} is up already (pid {upkeep.pid}): {_REMEDY}")


def everything_up() -> list[Upkeep]:
    """Return all that is up, by offset; remove the files of processes that died."""
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


def find_upkeep(offset: int | None = None, protocol: ProtocolName | None = None) -> Upkeep:
    """Return the topology that is up with this offset and protocol, where None stands for any.

    Raises NotRunning where none is, or several are.
    """
    up = everything_up()
    matching = [
        upkeep
        for upkeep in up
        if offset in (None, upkeep.options.offset) and protocol in (None, upkeep.options.protocol)
    ]
    if len(matching) == 1:
        return matching[0]
    if not up:
        raise NotRunning("nothing is up: start something with `lab up parallel --detach`")
    names = ", ".join(f"{u.options.name} ({u.options.protocol}) at --offset {u.options.offset}" for u in up)
    raise NotRunning(
        f"say which is meant: up are {names}" if matching else f"nothing is up there: up are {names}"
    )


def state_directory() -> Path:
    """Return the user's own directory for these files, made where it is missing; no other user can enter it.

    XDG_RUNTIME_DIR is obeyed, or refused with its name: platformdirs may take another directory in its place.
    Raises PlacementError where the directory cannot be made or written to, or is another user's.
    """
    directory = None
    try:
        directory = _runtime_directory()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        usable = directory.stat().st_uid == os.getuid() and os.access(directory, os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if directory is None or not usable:
        raise PlacementError(
            f"{directory or 'the directory'}, which tells other shells what is up, cannot be written: "
            "set XDG_RUNTIME_DIR to a directory of yours"
        )
    return directory


def _runtime_directory() -> Path:
    """Return where the directory belongs. Raises OSError where the system's place for it is not safe."""
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / NAME
    from platformdirs import user_runtime_path

    with warnings.catch_warnings(action="ignore"):  # it warns that it falls back to a directory in /tmp
        return user_runtime_path(NAME, ensure_exists=True)


@cache
def _json() -> TypeAdapter[Upkeep]:
    from pydantic import TypeAdapter

    return TypeAdapter(Upkeep)


def _file(offset: int, suffix: str) -> Path:
    return state_directory() / f"up-{offset}.{suffix}"


def _read(path: Path) -> Upkeep | None:
    try:
        return _json().validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None  # written by another version, or half
