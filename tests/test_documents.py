"""The documents name what exists: files, commands, sessions, modules, columns."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer

from benchmarks.input_kinds import ANSWERS, REQUESTS
from lab.cli.app import app
from lab.placement.proxies import PROXIES

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "results/README.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))
FOLDERS = ("services", "lab", "tests", "benchmarks", "notebooks", "results", "docs")
PLACEHOLDER = re.compile(r"…|[A-Z]{3,}|/(?:a|b|before|after)\.csv")
"""What marks a name as one that the reader gives."""

documented = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def in_code(text: str) -> list[str]:
    """What stands between back-ticks, and each line of the blocks of code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest))
    return [*spans, *(line for block in blocks for line in block.splitlines())]


def commands(text: str, program: str) -> set[str]:
    """The word after that program, wherever it is called."""
    called = re.compile(rf"(?:^|[\s|&]){program} ([a-z]\w*)")
    return {word for code in in_code(text) for word in called.findall(code.partition("#")[0])}


@documented
def test_a_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = {
        word.rstrip(".,:;")
        for code in in_code(text)
        for word in re.findall(rf"(?<![\w./-])(?:{'|'.join(FOLDERS)})/[\w./-]*", code)
        if not PLACEHOLDER.search(code)
    }
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


@documented
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, heading = unquote(target).partition("#")
        file = (document.parent / name) if name else document
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
            assert heading in anchors, target


@documented
def test_a_command_that_a_document_names_exists(document: Path) -> None:
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert commands(document.read_text(encoding="utf-8"), "lab") <= known


@documented
def test_a_session_that_a_document_names_exists(document: Path) -> None:
    module = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    sessions = {
        node.name
        for node in module.body
        if isinstance(node, ast.FunctionDef) and "nox.session" in map(ast.unparse, node.decorator_list)
    }
    assert commands(document.read_text(encoding="utf-8"), "nox -s") <= sessions


@documented
def test_a_module_that_a_document_runs_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    ours = re.compile(rf"python3? -m ((?:{'|'.join(FOLDERS)})[\w.]*)")
    for module in {name for code in in_code(text) for name in ours.findall(code)}:
        assert find_spec(module), module


@documented
@pytest.mark.parametrize("session", ["peers", "accuracy", "placements"])
def test_a_goal_that_a_document_measures_exists(document: Path, session: str) -> None:
    called = re.compile(rf"nox -s {session} -- ([\w ]+)")
    codes = in_code(document.read_text(encoding="utf-8"))
    goals = {
        goal for code in codes for goals in called.findall(code.partition("#")[0]) for goal in goals.split()
    }
    module = ast.parse((ROOT / "benchmarks" / f"{session}.py").read_text(encoding="utf-8"))
    (known,) = (
        {ast.literal_eval(key) for key in node.value.keys if key}
        for node in module.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    )
    assert goals <= known


def test_the_table_of_balancers_has_a_cell_for_each_kind_and_balancer() -> None:
    text = (ROOT / "docs" / "balancers.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    names = ["ours", *PROXIES]
    kinds = [[kind.name for kind in group] for group in (REQUESTS, ANSWERS)]
    assert [row[0] for row in rows if row[0] not in ("ours", "---")] == [*kinds[0], *kinds[1]]
    assert [row for row in rows if row[0] == "ours"] == [names, names]
    assert {len(row) for row in rows if row[0] not in ("ours",)} == {1 + len(names)}
