"""A chart shows itself as HTML with SVG in it, as PNG and as text, each with what was found."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import Any

from lab import charts
from tests.support.chart_rows import made_up_rows

FOUND = "Four instances do 4.01× the work of one at 32 in flight"


class Elements(HTMLParser):
    """Collects elements with their attributes, and the text of titles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.titles: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "title":
            self.titles.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "title" and self.titles:
            self.titles[-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.lasttag = f"/{tag}"

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.found if each == tag]


def shown(chart: charts.Chart) -> Elements:
    return Elements(chart.html())


def test_a_notebook_gets_html_png_and_text_in_one_bundle() -> None:
    data, metadata = charts.throughput(made_up_rows())._repr_mimebundle_()
    assert set(data) == {"text/html", "image/png", "text/plain"}
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"].startswith(f"{FOUND}\n")
    assert metadata["image/png"]["alt"] == FOUND


def test_pictures_are_named_by_what_was_found_for_those_who_do_not_see_them() -> None:
    wide, narrow = shown(charts.throughput(made_up_rows())).named("svg")
    for picture in (wide, narrow):
        assert (picture["role"], picture["aria-label"]) == ("img", FOUND)
        assert picture["fill"] == "currentColor"
    assert wide["viewbox"] != narrow["viewbox"]


def test_a_mark_tells_its_trials_and_an_invalid_one_why() -> None:
    def spoil(made: list[dict[str, Any]]) -> None:
        made[-1] |= {"valid": "false", "invalid_reason": "generator_bound"}

    titles = shown(charts.throughput(made_up_rows(spoil, spread=0))).titles
    assert (
        "parallel, concurrency 32\nthroughput_rps: 99.0 (99.0–99.0), 95 % interval\n"
        "2 of 3 (generator_bound 1) trials valid\ntrial 1: 99.00\ntrial 2: 99.00\n"
        "trial 3: 99.00, invalid: generator_bound"
    ) in titles
    assert "parallel, concurrency 32\nthroughput_rps, trial 3: 99.00, invalid: generator_bound" in titles


def test_a_page_with_many_charts_has_no_id_twice_and_no_style_for_others() -> None:
    rows = made_up_rows()
    page = Elements("".join(draw(rows).html() for draw in (charts.throughput, charts.latency)))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids)) > 0
    styles = re.findall(r"<style>(.*?)</style>", charts.latency(rows).html())
    assert all(rule.startswith((".lab-chart", "@container")) for rule in styles)
    assert len(styles) == 1


def test_no_colour_of_the_page_is_painted_over() -> None:
    html = charts.where_the_time_went(made_up_rows()).html()
    assert not re.search(r"#(fff|ffffff|222222|e4e4e4|efefef)\b", html)
    assert "font-family" not in html.partition("</style>")[2]


def test_the_caption_can_be_left_to_others() -> None:
    chart = charts.throughput(made_up_rows())
    assert "figcaption>" in chart.html()
    assert "figcaption>" not in chart.html(caption=False)


def test_what_a_chart_says_is_text_and_no_markup() -> None:
    def rename(made: list[dict[str, Any]]) -> None:
        for row in made:
            row["topology"] = "<b>&"

    html = charts.throughput(made_up_rows(rename)).html()
    assert "<b>" not in html
    assert "&lt;b&gt;&amp;" in html
