"""The page of an executed notebook: question, answer and origin first, then the notebook with its charts.

It stands alone: its pictures and the CSVs are inside it, and it asks nothing of any other place.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from markdown_it import MarkdownIt
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from lab.results.sidecar import Provenance

__all__ = ["Attachment", "answer_of", "attachments_of", "page", "question_of"]

_WRITTEN = re.compile(r"\binto (\S[^\n;]*?\.csv)\b")
"""How a run names the CSV that it wrote."""
_SERVERS = ".servers.csv"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A CSV that can be saved from the page."""

    name: str
    uri: str
    size_kb: int


def question_of(notebook: NotebookNode) -> str:
    """Return the first heading; empty where there is none."""
    for cell in notebook.cells:
        found = re.search(r"^# (.+)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return found[1].strip()
    return ""


def answer_of(notebook: NotebookNode) -> str:
    """Return the last Markdown that a cell shows, else the last text; empty where a cell failed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    if any(output.output_type == "error" for output in outputs):
        return ""
    shown = [output.data for output in outputs if "data" in output]
    for kind in ("text/markdown", "text/plain"):
        told = [data[kind] for data in shown if kind in data]
        if told:
            return str(told[-1])
    return ""


def attachments_of(notebook: NotebookNode) -> Iterator[Attachment]:
    """Read the CSVs that the cells say they wrote, each with its servers' CSV where there is one."""
    texts = (output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    named = dict.fromkeys(Path(path) for text in texts for path in _WRITTEN.findall(text))
    for path in (each for one in named for each in (one, one.with_name(one.stem + _SERVERS))):
        if path.is_file():
            content = path.read_bytes()
            uri = f"data:text/csv;base64,{b64encode(content).decode()}"
            yield Attachment(path.name, uri, max(1, round(len(content) / 1024)))


def page(notebook: NotebookNode, name: str) -> str:
    """Write the page of an executed notebook; `name` is its title where it asks no question."""
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        extra_template_basedirs=[str(Path(__file__).parent)],
        template_name="page",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    question, answer = question_of(notebook), answer_of(notebook)
    opening = {
        "question": question,
        "answer": MarkdownIt("commonmark").enable("table").render(answer or _UNANSWERED),
        "origin": _origin(Provenance.gather(), datetime.now(UTC)),
        "attachments": list(attachments_of(notebook)),
    }
    written, _ = exporter.from_notebook_node(
        _titled(notebook, _title(question, answer) or name), {"opening": opening}
    )
    return str(written)


_UNANSWERED = "**It has not been answered: a cell failed, and the error stands below.**"


def _title(question: str, answer: str) -> str:
    """Put the answer's first sentence behind the question."""
    (first, *_) = answer.replace("*", "").replace("`", "").strip().split("\n") or [""]
    return " ".join(filter(None, [question.replace("`", ""), first]))


def _origin(of: Provenance, now: datetime) -> list[tuple[str, str]]:
    changed = ", changed since" if of.dirty else ""
    return [
        ("machine", f"{of.cpu_model}, {of.cpu_count} processors, {of.memory_mb:,} MB, {of.system}"),
        ("date", f"{now:%Y-%m-%d %H:%M} UTC"),
        ("commit", f"{of.commit}{changed}" if of.commit else "not in a repository"),
        ("Python", of.python),
    ]


def _titled(notebook: NotebookNode, title: str) -> NotebookNode:
    """Give the page its title, and leave the question out of the first cell: the page opens with it."""
    titled = deepcopy(notebook)
    titled.metadata["title"] = title
    titled.metadata.pop("widgets", None)
    for cell in titled.cells[:1]:
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"^# .+\n*", "", cell.source, count=1)
    return titled
