"""Who asks for an optional part that is not installed is told what to install, and sees no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.errors import ExtraMissing
from lab.imports import Extra, needing
from lab.placement.ports import reserved_offset
from lab.topology import Topology

Run = Callable[..., subprocess.CompletedProcess[str]]
GRPC = "pip install 'pipeline-lab[grpc]'"


@pytest.fixture
def without(tmp_path: Path) -> Run:
    """Runs Python where those modules are not installed: `without(["grpc"], "-m", "services.rpc", "1")`."""

    def run(modules: list[str], *arguments: str) -> subprocess.CompletedProcess[str]:
        for name in modules:
            missing = f"raise ModuleNotFoundError('No module named {name}', name={name!r})\n"
            (tmp_path / f"{name}.py").write_text(missing)
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_module_that_is_not_there_is_named_with_who_needs_it_and_what_to_install() -> None:
    with pytest.raises(ExtraMissing) as told, needing(Extra.GRPC, "this test"):
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401
    assert str(told.value) == f"this test needs no_such_module, which is not installed: {GRPC}"


def test_other_errors_of_an_import_are_left_as_they_are() -> None:
    with pytest.raises(ImportError, match="nothing"), needing(Extra.GRPC, "this test"):
        from lab.errors import nothing  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (1, ("lab.cli", "load", "grpc://127.0.0.1:9/a.B/C")),
        (1, ("lab.cli", "up", "sequential", "--protocol", "grpc")),
        (2, ("services.rpc", "1")),
        (2, ("services.rpc.balancer", "1")),
    ],
)
def test_grpc_that_is_not_installed_is_told_in_one_line(
    without: Run, status: int, arguments: tuple[str, ...]
) -> None:
    done = without(["grpc"], "-m", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"needs grpc, which is not installed: {GRPC}")


def test_a_client_that_is_not_installed_is_told_in_one_line(without: Run) -> None:
    with reserved_offset(Topology.sequential()) as offset:
        asked = ("sequential", "--client", "aiohttp", "--offset", str(offset))
        done = without(["aiohttp"], "-m", "lab.cli", "up", *asked)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "aiohttp is not installed: pip install 'pipeline-lab[clients]'" in line


def test_coding_costs_can_be_imported_without_grpc_and_not_had(without: Run) -> None:
    code = "from lab.protocol_costs import coding_costs; coding_costs(10)"
    done = without(["google"], "-c", code)
    said = f"ExtraMissing: protobuf needs google, which is not installed: {GRPC}"
    assert done.stderr.splitlines()[-1].endswith(said)
