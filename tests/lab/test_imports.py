"""Names that are imported only when they are asked for, and parts that may not be installed."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lab.errors import ExtraMissing
from lab.imports import Extra, needing
from lab.placement.ports import reserved_offset
from lab.topology import Topology
from services.extras import install_command

Run = Callable[..., subprocess.CompletedProcess[str]]
GRPC = install_command("grpc")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package that hands out `answer`, whose home is one of its modules."""
    folder = tmp_path / "lazy_example"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from lab.imports import lazily\n"
        "__getattr__, __dir__ = lazily(__name__, {'lazy_example.home': ('answer', 'lost')})\n"
    )
    (folder / "home.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("lazy_example")
    for name in ("lazy_example", "lazy_example.home"):
        sys.modules.pop(name, None)


def test_a_name_is_imported_when_it_is_first_asked_for_and_then_stays(package: ModuleType) -> None:
    assert "lazy_example.home" not in sys.modules
    assert package.answer == 42
    assert vars(package)["answer"] == 42


def test_names_are_listed_before_they_are_imported(package: ModuleType) -> None:
    assert {"answer", "__name__"} <= set(dir(package))
    assert "lazy_example.home" not in sys.modules


@pytest.mark.parametrize("name", ["question", "lost"])
def test_what_is_not_there_is_no_attribute(package: ModuleType, name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(package, name)


@pytest.mark.parametrize("package", ["lab", "lab.placement", "lab.notebook"])
def test_every_public_name_of_a_package_can_be_had(package: str) -> None:
    module = importlib.import_module(package)
    assert {name for name in module.__all__ if getattr(module, name, None) is None} == set()


@pytest.mark.parametrize(
    ("package", "heavy"),
    [("lab", "lab.topology"), ("lab.placement", "lab.placement.running"), ("lab.notebook", "papermill")],
)
def test_importing_a_package_does_not_import_what_it_hands_out(package: str, heavy: str) -> None:
    code = f"import sys, {package}; print({heavy!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_importing_the_charts_imports_no_server_and_no_solver() -> None:
    """scipy.stats alone takes as long as pandas and matplotlib together, FastAPI half of it."""
    heavy = ["fastapi", "scipy.stats", "scipy.optimize", "asyncio", "psutil", "lab.load", "lab.placement"]
    code = f"import sys; from lab import charts; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_of_the_command_line_imports_no_server_and_no_arrays() -> None:
    heavy = ["fastapi", "uvicorn", "numpy", "pandas", "matplotlib", "scipy"]
    code = (
        "import sys; from lab.cli import main; sys.argv = ['lab', '--help']\n"
        "try: main()\n"
        f"finally: print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


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
    assert f"aiohttp is not installed: {install_command('clients')}" in line


def test_coding_costs_can_be_imported_without_grpc_and_not_had(without: Run) -> None:
    code = "from lab.protocol_costs import coding_costs; coding_costs(10)"
    done = without(["google"], "-c", code)
    said = f"ExtraMissing: protobuf needs google, which is not installed: {GRPC}"
    assert done.stderr.splitlines()[-1].endswith(said)
