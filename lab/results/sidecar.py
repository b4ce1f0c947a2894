"""Where a result comes from, and the sidecar that keeps it: two results compare only as far as it agrees."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from importlib import metadata, util
from pathlib import Path
from typing import Any

from lab.errors import ResultsError

__all__ = ["Provenance", "Sidecar"]

DISTRIBUTION = "pipeline-lab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """What may colour the figures of a result, apart from what was set. It names no person and no host."""

    commit: str | None
    """The commit of the working tree, or None outside of one."""
    dirty: bool | None
    """Whether the tree differed from its commit, results/ aside."""
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
        """That of this process. `root` is a directory of the working tree; by default that of this file."""
        import psutil  # slow to import, and readers of results need none of it

        commit, dirty = _commit(root or Path(__file__).parent)
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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """That of a sidecar. Raises KeyError for one that lacks a field."""
        return cls(**{f.name: data[f.name] for f in fields(cls)})

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Sidecar:
    """What lies beside a CSV as JSON of the same name."""

    sweep_id: str
    parameters: Mapping[str, Any]
    """Every parameter of the sweep, by name, as JSON has it; the seed among them."""
    provenance: list[Provenance]
    """Of the session that began it, and of each that resumed it under other conditions."""
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By `cell_id/trial`, then by what was timed (response_time, service_time): the histogram's JSON form."""

    @staticmethod
    def path_for(csv_path: Path) -> Path:
        """Where the sidecar of that CSV lies."""
        return csv_path.with_suffix(".json")

    @classmethod
    def read(cls, csv_path: Path) -> Sidecar:
        """The sidecar of that CSV. Raises ResultsError if it is missing or broken."""
        path = cls.path_for(csv_path)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            provenance = [Provenance.from_json(each) for each in data["provenance"]]
            return cls(**(data | {"provenance": provenance}))
        except FileNotFoundError as error:
            if not csv_path.exists():
                raise ResultsError(f"there is no file {csv_path}: check the path") from None
            raise ResultsError(
                f"{csv_path} has no sidecar {path.name} beside it: keep the two together"
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(
                f"{path} is no sidecar of a result ({error}): restore it, or remove both"
            ) from error

    def write(self, csv_path: Path) -> None:
        """Replace the file as a whole, so that a reader sees the old one or the new one."""
        path = self.path_for(csv_path)
        data = {
            "sweep_id": self.sweep_id,
            "created_at": self.created_at,
            "parameters": self.parameters,
            "provenance": [each.to_json() for each in self.provenance],
            "histograms": self.histograms,
        }
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(descriptor, 0o644)
                json.dump(data, file, indent=1, ensure_ascii=False)
                file.write("\n")
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _git(root: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ("git", "-C", str(root), *arguments), capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()


def _commit(root: Path) -> tuple[str | None, bool | None]:
    top = _git(root, "rev-parse", "--show-toplevel")
    if not top:
        return None, None
    # From the top: an exclusion is taken relative to where git is asked.
    changes = _git(Path(top), "status", "--porcelain", "--", ".", ":(exclude)results")
    return _git(root, "rev-parse", "HEAD"), None if changes is None else bool(changes)


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
