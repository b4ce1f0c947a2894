"""Where a result comes from, and the sidecar that keeps that: two results compare as far as it agrees."""

from __future__ import annotations

import os
import platform
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import ResultsError
from lab.results.notebook_text import without_outputs

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["Provenance", "Sidecar", "why_no_commit", "write_whole"]

DISTRIBUTION = "pipeline-lab"
PACKAGE = Path(__file__).parents[1]
"""The folder `lab`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What may colour the figures of a result, apart from what was set; names no person and no host."""

    commit: str | None
    """The commit of the working tree, or None outside of one."""
    dirty: bool | None
    """Whether the tree differed from its commit, results/ and what notebooks printed aside."""
    system: str
    """Operating system, release and architecture."""
    cpu_model: str
    cpu_count: int
    """Logical processors that this process may use."""
    memory_mb: int
    python: str
    """Implementation and version."""
    event_loop: str
    """What drives the servers and the generator: uvloop or asyncio."""
    parser: str
    """What reads HTTP: httptools, in uvicorn too, or h11."""
    packages: Mapping[str, str]
    """Version by name of every package that the lab depends on directly and that is installed."""

    @classmethod
    def gather(cls, root: Path | None = None) -> Provenance:
        """Return the provenance of this process.

        `root` is the folder `lab` of the working tree; by default the one of this file.
        """
        import psutil  # slow to import, and readers of results need none of it

        commit, dirty = _commit(root or PACKAGE)
        return cls(
            commit=commit,
            dirty=dirty,
            system=f"{platform.system()} {platform.release()} {platform.machine()}",
            cpu_model=_cpu_model(),
            cpu_count=len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1,
            memory_mb=psutil.virtual_memory().total // 2**20,
            python=f"{platform.python_implementation()} {platform.python_version()}",
            event_loop="uvloop" if util.find_spec("uvloop") else "asyncio",
            parser="httptools" if util.find_spec("httptools") else "h11",
            packages=dict(sorted(_packages())),
        )


@dataclass(slots=True, kw_only=True)
class Sidecar:
    """What lies beside a CSV as JSON of the same name."""

    sweep_id: str
    schema_version: int = 1
    """The version of the CSV's columns (lab.measure.columns); a sidecar that names none is version 1."""
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    parameters: Mapping[str, Any]
    """Every parameter of the sweep by name, as JSON holds it; the seed among them."""
    provenance: list[Provenance]
    """One for the session that began the result, and one for each that resumed it under other conditions."""
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By `cell_id/trial`, then by what was timed (response_time, service_time): the histogram's JSON form."""

    @staticmethod
    def path_for(csv_path: Path) -> Path:
        """Return where the sidecar of that CSV lies."""
        return csv_path.with_suffix(".json")

    @classmethod
    def read(cls, csv_path: Path) -> Sidecar:
        """Return the sidecar of that CSV. Raises ResultsError if it is missing or broken."""
        path = cls.path_for(csv_path)
        try:
            return _adapter().validate_json(path.read_bytes())
        except FileNotFoundError as error:
            if not csv_path.exists():
                raise ResultsError(f"there is no file {csv_path}: check the path") from None
            raise ResultsError(
                f"{csv_path} has no sidecar {path.name} beside it: keep the two together"
            ) from error
        except ValueError as error:  # pydantic's are such
            raise ResultsError(
                f"{path} is no sidecar of a result ({_first_line(error)}): restore it, or remove both"
            ) from None

    def write(self, csv_path: Path) -> None:
        """Replace the file as a whole, so that a reader sees the old one or the new one."""
        write_whole(self.path_for(csv_path), _adapter().dump_json(self, indent=1) + b"\n")


@cache
def _adapter() -> TypeAdapter[Sidecar]:
    """Return what reads and writes a sidecar as JSON."""
    from pydantic import TypeAdapter  # slow to import, and charts need none of it

    return TypeAdapter(Sidecar)


def _first_line(error: ValueError) -> str:
    """Return the first of pydantic's complaints: where, and what."""
    return ": ".join(line.strip() for line in str(error).splitlines()[1:3])


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, meets the old one or the new one and nothing between."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def why_no_commit(root: Path = PACKAGE) -> str:
    """Say why git refuses to tell the commit; empty where it tells it, or where there is none."""
    refused = _run_git(root, "rev-parse", "--show-toplevel").stderr
    if "dubious ownership" not in refused:
        return ""
    return (
        f"{root.parent} belongs to another user, so git does not tell its commit, and the result will not: "
        f"git config --global --add safe.directory {root.parent}"
    )


def _run_git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Ask git about the tree that `root` lies in, and no other that the environment names."""
    command = ("git", "--no-optional-locks", "-C", str(root), *arguments)  # on a full disk a lock would stay
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=10,
            check=False,
            env=environ | {"LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError):
        return subprocess.CompletedProcess(command, 1, "", "")


def _git(root: Path, *arguments: str) -> str | None:
    answer = _run_git(root, *arguments)
    return None if answer.returncode else answer.stdout.strip()


def _commit(root: Path) -> tuple[str | None, bool | None]:
    """Return the commit, and whether the tree differs from it: of a tree whose own folder `lab` is `root`."""
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top or not (Path(top) / "lab").exists() or not (Path(top) / "lab").samefile(root):
        return None, None  # no tree, or another project's, in whose environment the lab is installed
    # From the top: an exclusion is taken relative to where git is asked.
    status = ("status", "--porcelain", "--no-renames", "-z", "--", ".", ":(exclude)results")
    changes = _run_git(Path(top), *status)
    changed = [entry[3:] for entry in changes.stdout.split("\0") if entry]
    dirty = not all(_only_printed(Path(top), name) for name in changed)
    return _git(root, "rev-parse", "HEAD"), None if changes.returncode else dirty


def _only_printed(top: Path, name: str) -> bool:
    """Tell whether a file is a notebook that differs from its commit in what it printed, and no more."""
    if not name.endswith(".ipynb"):
        return False
    committed = _run_git(top, "show", f"HEAD:{name}")
    try:
        now = (top / name).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return not committed.returncode and without_outputs(committed.stdout) == without_outputs(now)


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ("sysctl", "-n", "machdep.cpu.brand_string"),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        if asked.stdout.strip():
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _packages() -> Iterator[tuple[str, str]]:
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return
    for requirement in required:
        name = requirement.partition(";")[0].split("[")[0].strip()
        name = next((name[:i] for i, c in enumerate(name) if not (c.isalnum() or c in "-_.")), name)
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:  # an extra that is not installed
            continue
