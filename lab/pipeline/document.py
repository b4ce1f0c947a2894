"""Read a YAML or JSON file as data that knows on which line each of its parts stands.

Every scalar stays the text that was written (a `Scalar`), because a name is text, whatever YAML makes of
`no` and `1.10`; `plain` returns what YAML makes of it. Duplicate keys, of which PyYAML silently keeps the
last, are refused. Anchors, aliases and merges (`<<`) are resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.errors import BadParameter

__all__ = ["Document", "Scalar", "Where", "plain", "read_document"]

MOST_BYTES = 4 * 1024 * 1024
MOST_NODES = 100_000
"""Parts of a document with all aliases resolved. Nested aliases multiply: few lines could fill the memory."""

_PLAIN_TAGS = frozenset({"map", "seq", "str", "int", "float", "bool", "null", "timestamp", "merge"})

Where = tuple[str | int, ...]
"""The way to a part: keys of mappings and indices of lists."""


class Scalar(str):
    """The text of a scalar as it was written, with what YAML makes of it in `value`."""

    value: Any


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data: mappings with text for keys, lists, `Scalar`s, and None where nothing stands."""

    path: Path
    data: Any
    lines: Mapping[Where, int]
    """The line on which each part begins, counted from 1: that of its key in a mapping."""

    def nearest(self, where: Where) -> Where:
        """Return the way to a part that the file has: steps that it lacks are left out."""
        found: Where = ()
        for step in where:
            if (*found, step) in self.lines:
                found = (*found, step)
        return found

    def mistake(self, where: Where, what: str) -> str:
        """Return a line that names the file, the line and what is wrong there."""
        return f"{self.path}:{self.lines[self.nearest(where)]}: {what}"


def plain(data: Any) -> Any:
    """Return the data with every `Scalar` replaced by what YAML makes of it."""
    match data:
        case Scalar():
            return data.value
        case dict():
            return {str(key): plain(value) for key, value in data.items()}
        case list():
            return [plain(item) for item in data]
    return data


def read_document(path: Path) -> Document:
    """Read the file. Raises BadParameter, naming file and line, where it cannot be read as one document."""
    text = _text_of(path)
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # JSON may be indented with tabs, and has none in its strings
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise BadParameter(f"{path} is empty: `lab init` writes an example")
        walk = _Walk(path, loader)
        data = walk.data_of(node, (), frozenset())
    except yaml.MarkedYAMLError as error:
        raise BadParameter(_said(path, error)) from None
    except yaml.YAMLError as error:
        raise BadParameter(f"{path}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise BadParameter(f"{path} is nested too deeply") from None
    finally:
        loader.dispose()
    return Document(path, data, walk.lines)


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadParameter(f"{path} has more than {MOST_BYTES >> 20} MiB: that is no pipeline file")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadParameter(f"{path} is no text in UTF-8 (byte {error.start}): save it as UTF-8") from None
    except OSError as error:
        raise BadParameter(f"{path} cannot be read: {error.strerror}") from None


def _said(path: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = " ".join((error.problem or str(error)).split())
    if "'\\t'" in problem:
        problem = "a tab indents this line, and YAML wants spaces"
    elif "single document" in (error.context or ""):
        problem = "a second document begins here (`---`): a file holds one pipeline"
    return f"{path}:{line}: {problem}"


class _Walk:
    """Turn the nodes of a document into data, and note where each stands."""

    def __init__(self, path: Path, loader: yaml.SafeLoader) -> None:
        self.path = path
        self.lines: dict[Where, int] = {(): 1}
        self._loader = loader
        self._nodes = 0

    def data_of(self, node: yaml.Node, where: Where, above: frozenset[int]) -> Any:
        self._nodes += 1
        self.lines.setdefault(where, node.start_mark.line + 1)
        if self._nodes > MOST_NODES:
            raise self._refused(node, f"the file has more than {MOST_NODES:,} parts with its aliases")
        if id(node) in above:
            raise self._refused(node, "an alias stands inside of what it names")
        if node.tag.rpartition(":")[2] not in _PLAIN_TAGS:
            raise self._refused(node, f"a tag stands here ({node.tag}), and a pipeline file needs none")
        inside = above | {id(node)}
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where, inside)
        if isinstance(node, yaml.SequenceNode):
            return [self.data_of(item, (*where, at), inside) for at, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, where: Where, inside: frozenset[int]) -> dict[str, Any]:
        self._refuse_duplicates(node)
        self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = self._key(key)
            # A merge puts the keys that it brings first, and a key of the mapping's own overrides them.
            self.lines[*where, name] = key.start_mark.line + 1
            found[name] = self.data_of(value, (*where, name), inside)
        return found

    def _refuse_duplicates(self, node: yaml.MappingNode) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            name = self._key(key)
            if name in first and key.tag != "tag:yaml.org,2002:merge":
                raise self._refused(key, f"{name} stands twice (first in line {first[name]}): keep one")
            first[name] = key.start_mark.line + 1

    def _key(self, key: yaml.Node) -> str:
        if not isinstance(key, yaml.ScalarNode):
            raise self._refused(key, "a key is a list or a mapping: give a name")
        return _joined(str(key.value))

    def _scalar(self, node: yaml.Node) -> Scalar | None:
        construct: Callable[..., Any] = self._loader.construct_object
        try:
            value = construct(node, deep=True)
        except ValueError as error:  # a date such as 2026-13-01, which is text as good as any
            value = str(node.value) if isinstance(node, yaml.ScalarNode) else error
        if value is None:
            return None
        scalar = Scalar(_joined(str(node.value)))
        scalar.value = value if isinstance(value, bool | int | float) else scalar  # a date is sent as text
        return scalar

    def _refused(self, node: yaml.Node, what: str) -> BadParameter:
        return BadParameter(f"{self.path}:{node.start_mark.line + 1}: {what}")


def _joined(text: str) -> str:
    """Return the text with the surrogate pairs that JSON's escapes make joined to characters."""
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
