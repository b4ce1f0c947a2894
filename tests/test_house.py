"""The shape of the house: which way the arrows run, and what stays in one place."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import lab
from lab import charts

ROOT = Path(__file__).parent.parent

# From the ground up. A module may import its own floor and those below it, never one above.
FLOORS = (
    ("services",),
    (
        "lab.errors",
        "lab.children",
        "lab.imports",
        "lab.names",
        "lab.rounding",
        "lab.plain_text",
        "lab.arrivals",
        "lab.servers",
        "lab.topology",
        "lab.pipeline",
        "lab.expectations",
        "lab.theory",
        "lab.machine",
    ),
    ("lab.load", "lab.placement"),
    ("lab.measure", "lab.results"),
    (
        "lab.sweep",
        "lab.saturation",
        "lab.faults",
        "lab.policy_comparison",
        "lab.experiment_events",
        "lab.progress",
        "lab.trials",
        "lab.protocol_costs",
        "lab.compare",
        "lab.charts",
    ),
    ("lab.notebook", "lab.live", "lab.cli"),
)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted([*ROOT.glob("services/**/*.py"), *ROOT.glob("lab/**/*.py")]):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file it does so."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def floor_of(module: str) -> int | None:
    for height, names in enumerate(FLOORS):
        if any(module == name or module.startswith(name + ".") for name in names):
            return height
    return None


@pytest.mark.parametrize(("module", "path"), [pytest.param(m, p, id=m) for m, p in modules()])
def test_a_module_imports_nothing_from_a_floor_above_its_own(module: str, path: Path) -> None:
    own = floor_of(module)
    if module == "lab":  # the front door names what it hands out, and imports it when asked
        return
    assert own is not None, f"{module} stands on no floor: give it one in FLOORS"
    above = {name for name in imports(path) if (floor_of(name) or 0) > own}
    assert not above, f"{module} reaches up to {sorted(above)}"


def test_httpx_is_imported_in_one_place() -> None:
    users = {m for m, path in modules() if any(n == "httpx" or n.startswith("httpx.") for n in imports(path))}
    assert users == {"services.clients"}


def test_imports_run_in_no_circle() -> None:
    names = dict(modules())
    arrows = {m: {n for n in imports(p) if n in names and n != m} for m, p in names.items()}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for following in arrows[module]:
                visit(following, (*trail, module))
            done.add(module)

    for module in names:
        visit(module, ())


def test_the_front_door_names_what_readers_use_and_no_more() -> None:
    """Submodules aside, which `import` finds by itself."""
    texts = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("notebooks/*.ipynb")]
    used = {name for path in texts for name in re.findall(r"\blab\.(\w+)", path.read_text(encoding="utf-8"))}
    parts = {module.split(".")[1] for module, _ in modules() if module.startswith("lab.")}
    assert set(lab.__all__) == used - parts


def code_files() -> list[tuple[str, Path]]:
    """Every module of code and its file, but generated ones and empty ones."""
    return [(m, p) for m, p in modules() if "_pb2" not in p.name and p.read_text(encoding="utf-8").strip()]


def test_public_class_names_are_unique() -> None:
    homes: dict[str, list[str]] = {}
    for module, path in code_files():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


def test_files_are_few_and_of_a_length_to_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for _, path in code_files()}
    assert len(lengths) <= 280  # 240, and the packages that pipelines of one's own bring
    assert {path: length for path, length in lengths.items() if length > 400} == {}


def test_at_most_sixteen_file_names_occur_twice() -> None:
    counts = Counter(path.stem for _, path in code_files() if path.stem not in {"__init__", "__main__"})
    assert len([name for name, count in counts.items() if count > 1]) <= 16


def test_every_name_that_a_notebook_imports_exists() -> None:
    """In a second, where running the notebooks takes minutes."""
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        tree = ast.parse("\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                exec(ast.unparse(node), {})
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "charts":
                assert node.attr in charts.__all__, f"{path.name} calls {ast.unparse(node)}"


def test_public_docstrings_stand_alone() -> None:
    """A tooltip shows one alone: an opening that refers to something else says nothing there."""
    dangling = re.compile(r"(That of|The same|It|Of|So many)\b")
    found = [
        f"{module}: {text[:60]}"
        for module, path in code_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and not getattr(node, "name", "").startswith("_")
        and (text := ast.get_docstring(node) or "")
        and dangling.match(text)
    ]
    assert found == []
