"""The page of a notebook opens with what was asked and answered, and takes its CSVs along."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lab.notebook.report import page


def executed(
    answer: str = "**Yes: it does.** Twice.\n\nAll 4 trials are valid.", printed: str = ""
) -> NotebookNode:
    shown = [new_output("execute_result", {"text/markdown": answer})] if answer else []
    return new_notebook(
        cells=[
            new_markdown_cell("# Does it `scale`?\n\nFour services."),
            new_code_cell("run()", outputs=[new_output("stream", text=printed)]),
            new_code_cell("answer()", outputs=shown),
            new_markdown_cell("## Next"),
        ]
    )


def title(html: str) -> str:
    return re.findall(r"<title>(.*?)</title>", html)[0]


def test_its_title_is_the_question_and_the_answer() -> None:
    assert title(page(executed(), "name")) == "Does it scale? Yes: it does. Twice."
    assert title(page(new_notebook(), "name")) == "name"


def test_question_answer_machine_date_and_commit_come_before_the_cells() -> None:
    opening, cells = page(executed(), "name").split("</header>")
    opening = opening[opening.index("<header") :]
    assert "<h1>Does it `scale`?</h1>" in opening
    assert "<strong>Yes: it does.</strong>" in opening
    names = re.findall(r"<dt>(.*?)</dt><dd>.+?</dd>", opening)
    assert names == ["machine", "date", "commit", "Python"]
    assert "Four services." in cells
    assert "scale" not in cells


def test_a_notebook_that_failed_says_so_where_the_answer_would_stand() -> None:
    assert "has not been answered" in page(executed(answer=""), "name")


def test_the_csvs_that_were_written_can_be_saved_from_the_page(tmp_path: Path) -> None:
    for name in ("mine.csv", "mine.servers.csv", "other.csv"):
        (tmp_path / name).write_text(f"{name}\n1\n")
    html = page(executed(printed=f"4 trials into {tmp_path}/mine.csv; all valid\ninto nowhere.csv\n"), "name")
    saved = re.findall(r'<a download="(.*?)" href="data:text/csv;base64,(.*?)">', html)
    assert [name for name, _ in saved] == ["mine.csv", "mine.servers.csv"]
    assert base64.b64decode(saved[0][1]) == b"mine.csv\n1\n"


def test_the_page_asks_nothing_of_other_places() -> None:
    notebook = executed()
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    html = page(notebook, "name")
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"|@import|url\(["\']?https?:', html)
    assert "<script" not in html


def test_a_printed_page_cuts_no_chart() -> None:
    html = page(executed(), "name")
    assert "@page { size: A4" in html
    assert ".lab-chart svg" in html[html.index("@media print {") :]
