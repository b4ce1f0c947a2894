"""What the parameters cell of a notebook says now, though its kernel remembers what the cell said before.

A kernel keeps every name that a cell ever set, and the text of every cell that it ran. So the texts tell
which names the cell sets now: one that it set before and sets no longer is left out, and one that is no
parameter is refused. Cells are known again by their ids where the front end sends them, else by likeness.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from inspect import signature
from typing import Any

from lab.errors import BadParameter
from lab.progress import note
from services.names import nearest

__all__ = ["parameters_in"]

ALIKE = 0.5
"""Texts that share this part or more are two versions of one cell."""
NEAR = 0.85
"""A name this like a parameter's is taken for a misspelt one, in a cell that sets no parameter at all."""
INJECTED = "# Parameters\n"
"""How papermill begins the cell that it adds after the parameters cell."""

_ids: dict[str, str] = {}
"""The id of the cell that a text was run in, by the text, as far as it was told."""


@dataclass(frozen=True, slots=True)
class _Version:
    """What one execution of a cell said that does nothing but set names."""

    source: str
    names: frozenset[str]
    cell: str | None

    def of_the_same_cell(self, later: _Version) -> bool:
        if self.cell and later.cell:
            return self.cell == later.cell
        if INJECTED in (self.source[: len(INJECTED)], later.source[: len(INJECTED)]):
            return False
        return SequenceMatcher(None, self.source, later.source, autojunk=False).ratio() >= ALIKE


def parameters_in(names: Mapping[str, Any], takes: Callable[..., Any]) -> dict[str, Any]:
    """Return the values in `names`, a notebook's `globals()`, of the parameters that `takes` takes.

    What the notebook's parameters cell set before and sets no longer is left out, and said. Raises
    BadParameter for a name in that cell which is no parameter, with the nearest that is one.
    """
    known = list(signature(takes).parameters)
    given = {name: names[name] for name in known if name in names}
    _remember_ids(names)
    before: set[str] = set()
    now: set[str] = set()
    for versions in _cells(names, known):
        before.update(*(version.names for version in versions))
        now |= versions[-1].names
        _refuse_unknown(versions[-1], known)
    for name in [each for each in given if each in before - now]:
        note(f"{name} is left out: the parameters cell set it to {given.pop(name)!r}, and no longer does")
    return given


def _refuse_unknown(version: _Version, known: list[str]) -> None:
    for name in sorted(version.names - set(known)):
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"there are {', '.join(known)}"
        raise BadParameter(
            f"the parameters cell sets {name}, and there is no such parameter: {hint} "
            "(set names of your own in another cell)"
        )


def _cells(names: Mapping[str, Any], known: list[str]) -> Iterator[list[_Version]]:
    """Yield the versions of each cell of parameters that ran, the last one last."""
    cells: list[list[_Version]] = []
    for version in _versions(names):
        same = (versions for versions in reversed(cells) if versions[-1].of_the_same_cell(version))
        found = next(same, None)
        if found is None:
            cells.append(found := [])
        found.append(version)
    parameters = set(known)
    for versions in cells:
        if any(v.names & parameters for v in versions) or _misspelt(versions[-1].names, known):
            yield versions


def _misspelt(names: frozenset[str], known: list[str]) -> bool:
    return any(SequenceMatcher(None, name, each).ratio() >= NEAR for name in names for each in known)


def _versions(names: Mapping[str, Any]) -> Iterator[_Version]:
    """Yield what each cell said that ran so far and only sets names to literals. None outside of a kernel."""
    inputs = names.get("In")
    if not isinstance(inputs, list) or "get_ipython" not in names:
        return
    for source in inputs:
        said = _assigned(source)
        if said:
            yield _Version(source, said, _ids.get(source.strip()))


def _assigned(source: str) -> frozenset[str]:
    """Return the names that a cell sets, if it does nothing else; none otherwise."""
    try:
        body = ast.parse(source).body
        return frozenset(name for node in body for name in _targets(node))
    except (SyntaxError, ValueError):
        return frozenset()


def _targets(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement sets to literals. Raises ValueError for any other statement."""
    match node:
        case ast.Expr(ast.Constant()):
            return
        case ast.Assign(targets, value) if all(isinstance(each, ast.Name) for each in targets):
            ast.literal_eval(value)
            yield from (each.id for each in targets if isinstance(each, ast.Name))
        case ast.AnnAssign(ast.Name(name), _, ast.expr() as value):
            ast.literal_eval(value)
            yield name
        case _:
            raise ValueError(ast.unparse(node))


def _remember_ids(names: Mapping[str, Any]) -> None:
    """Have the kernel tell the id of each cell that it runs from now on."""
    shell = names["get_ipython"]() if "get_ipython" in names else None
    if shell is not None and not getattr(shell, "lab_remembers_cells", False):
        shell.lab_remembers_cells = True

        def remember(info: Any) -> None:
            if getattr(info, "cell_id", None):
                _ids[info.raw_cell.strip()] = info.cell_id

        shell.events.register("pre_run_cell", remember)
