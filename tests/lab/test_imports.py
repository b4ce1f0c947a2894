"""A package hands names out that it imports only when they are asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


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
