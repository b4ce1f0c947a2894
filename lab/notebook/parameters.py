"""The parameters of a notebook: the defaults in its `parameters` cell, and the values typed instead."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import nbformat
import yaml
from nbformat import NotebookNode

from lab.errors import BadParameter
from services.names import nearest

__all__ = ["CHECK", "Parameter", "parameters_of", "read_notebook", "read_parameters"]

CHECK = "pipeline_lab_check"
"""Key in a notebook's metadata: `module:function`, which takes the parameters or raises BadParameter."""
_TAG = "parameters"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its name, its default, and the comment on its line."""

    name: str
    default: Any
    comment: str
    text: bool = False
    """Whether it takes text alone, or a list of texts: 1.10 is such a name, and no number."""

    def __str__(self) -> str:
        return f"{self.name} = {self.default!r}" + (f"  # {self.comment}" if self.comment else "")

    def read(self, text: str) -> Any:
        """Return the value that the text stands for, read as YAML. Raises BadParameter for another kind."""
        of_texts = self.text and text.lstrip().startswith("[")
        if isinstance(self.default, str) or (self.text and not of_texts):
            return text  # 2026 may be a name
        try:
            value = yaml.load(text, yaml.BaseLoader if of_texts else yaml.SafeLoader)
        except yaml.YAMLError:
            raise BadParameter(f"{self.name} cannot be {text!r}: close its brackets and quotes") from None
        if not self._takes(value):
            raise BadParameter(
                f"{self.name} cannot be {text!r}: it takes {self._kind()}, as {self.default!r}"
            )
        return value

    def _takes(self, value: Any) -> bool:
        if isinstance(self.default, list):
            values = value if isinstance(value, list) else [value]
            return all(_alike(each, kind) for each in values for kind in self.default[:1])
        return self.default is None or _alike(value, self.default)

    def _kind(self) -> str:
        if isinstance(self.default, list):
            return "a list or one of it"
        return {bool: "true or false", int: "a whole number", float: "a number"}.get(
            type(self.default), "a value"
        )


def read_notebook(path: Path) -> NotebookNode:
    """Return the notebook in the file, in the fourth format.

    Raises FileNotFoundError, and BadParameter for what is no notebook.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise BadParameter(f"{path} cannot be read ({what}): name a notebook, a file *.ipynb") from None
    if re.search(r"^(<{7}|>{7}) ", text, re.MULTILINE):
        raise BadParameter(f"{path} has conflicts that git left (<<<<<<<): keep one side of each")
    try:
        notebook: NotebookNode = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
        _ = [cell.metadata for cell in notebook.cells]
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError):
        raise BadParameter(f"{path} is no notebook: name a file that JupyterLab opens as one") from None
    return notebook


def parameters_of(notebook: NotebookNode) -> dict[str, Parameter]:
    """Return the parameters by name, in the order of the `parameters` cell; none without such a cell."""
    cells = [cell for cell in notebook.cells if _TAG in cell.metadata.get("tags", [])]
    try:
        return {each.name: each for cell in cells[:1] for each in _assignments(cell.source)}
    except (SyntaxError, tokenize.TokenError) as error:
        raise BadParameter(f"the parameters cell is no Python ({error}): mend it in JupyterLab") from None


def read_parameters(notebook: NotebookNode, typed: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return the values that were typed, by name. Runs no cell of the notebook.

    Raises BadParameter, with the list of valid parameters, for an unknown name, for a value of another kind,
    and for what the notebook's own check refuses.
    """
    known = _with_kinds(notebook, parameters_of(notebook))
    given: dict[str, Any] = {}
    try:
        for name, text in typed:
            if name not in known:
                raise BadParameter(f"there is no parameter {name!r}{_nearest(name, known)}")
            given[name] = known[name].read(text)
        _check(notebook, {name: p.default for name, p in known.items()} | given)
    except BadParameter as error:
        raise BadParameter(f"{_listing(known.values())}\n{error}") from None
    return given


def _with_kinds(notebook: NotebookNode, known: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Mark the parameters that are text by what the notebook's check says of them."""
    check = _check_of(notebook)
    hints = get_type_hints(check) if check else {}
    return {name: replace(each, text=_is_text(hints.get(name))) for name, each in known.items()}


def _is_text(hint: Any) -> bool:
    kinds = set(get_args(hint)) if isinstance(hint, UnionType) else {hint}
    return str in kinds and kinds <= {str, Path, NoneType, Sequence[str]}


def _nearest(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known)
    return f": did you mean {near}?" if near else ""


def _check(notebook: NotebookNode, values: Mapping[str, Any]) -> None:
    check = _check_of(notebook)
    if check:
        check(**values)


def _check_of(notebook: NotebookNode) -> Callable[..., Any] | None:
    dotted = notebook.metadata.get(CHECK)
    if not dotted:
        return None
    module, _, function = dotted.partition(":")
    check: Callable[..., Any] = getattr(import_module(module), function)
    return check


def _alike(value: Any, example: Any) -> bool:
    if isinstance(example, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(example)


def _listing(known: Iterable[Parameter]) -> str:
    listed = [f"  {parameter}" for parameter in known]
    return "\n".join(
        ["Valid parameters, with their defaults:", *listed]
        if listed
        else ["The notebook takes no parameters."]
    )


def _assignments(source: str) -> Iterator[Parameter]:
    """Read each assignment with the comment on its last line.

    papermill.inspect_notebook does so line by line with regular expressions: it gives defaults as text, and
    drops every line with two `=`, such as `slo = "p95=200ms"`.
    """
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            yield Parameter(name, _default(name, node.value), comments.get(node.end_lineno or 0, ""))


def _default(name: str, value: ast.expr) -> Any:
    try:
        return ast.literal_eval(value)
    except ValueError:
        raise BadParameter(
            f'{name} is {ast.unparse(value)} in the parameters cell: give a value, as 3, "text" or [1, 2]'
        ) from None
