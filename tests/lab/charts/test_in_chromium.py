"""Charts as a browser shows them: texts stand apart, and all is seen in the light and in the dark.

Needs playwright and a chromium (Debian: `apt install chromium`, `pip install playwright`).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lab import charts
from lab.results import read
from tests.lab.charts import test_counted as feeding

ROOT = Path(__file__).parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH"),
    pytest.mark.timeout(600),  # drawing takes long on a machine that others use
]

THEMES = {"light": ("#ffffff", "rgba(0, 0, 0, 0.87)"), "dark": ("#111111", "rgba(255, 255, 255, 0.87)")}
"""Ground and text of JupyterLab's themes."""
WIDTHS = (1000, 420)
TEXT, MARK = 4.5, 3.0
"""Contrasts that WCAG 2.2 asks for: of text (1.4.3), of what a picture is understood by (1.4.11)."""
DRAWN = [
    teller
    for (teller,) in (param.values for param in feeding.TELLERS)
    if "Chart" in str(teller.__annotations__.get("return"))
]


def two_valid_rows(made: feeding.Rows) -> feeding.Rows:
    kept = [row for row in made if row["trial"] == 1 and row["concurrency"] == 3][:2]
    return [*kept, *(row | feeding.spoiled() for row in made if row["trial"] == 2)]


CASES: dict[str, Callable[[feeding.Rows], feeding.Rows]] = {
    "all valid": feeding.clean,
    "two valid": two_valid_rows,
    "none valid": feeding.all_invalid,
    "some invalid": feeding.one_invalid_in_each_cell,
    "no rows": feeding.no_rows,
}


@cache
def page(case: str) -> str:
    """All charts below each other."""
    if case == "baseline":
        rows = read(ROOT / "results" / "baseline-2026-11-22.csv")
        drawn = [charts.throughput(rows), charts.latency(rows), charts.where_the_time_went(rows)]
        shown = [*drawn, charts.scalability(rows)]
    else:
        refused = {charts.comparison} if case == "no rows" else set()
        shown = [feeding.fed(teller, CASES[case]) for teller in DRAWN if teller not in refused]
    return "".join(chart.html() for chart in shown)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


MEASURE = """
([ground]) => {
  const parse = text => {
    const found = /rgba?\\(([^)]+)\\)/.exec(text);
    if (!found) return null;
    const [r, g, b, a = 1] = found[1].split(/[ ,/]+/).filter(Boolean).map(Number);
    return {rgb: [r, g, b], a};
  };
  const page = parse(ground).rgb;
  const luminance = rgb => {
    const [r, g, b] = rgb.map(x => x / 255).map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = ({rgb, a}) => {
    const seen = rgb.map((x, i) => a * x + (1 - a) * page[i]);
    const [low, high] = [luminance(seen), luminance(page)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const opacity = (node, svg) => {
    let product = 1;
    for (let at = node; at && at !== svg; at = at.parentNode) product *= +getComputedStyle(at).opacity;
    return product;
  };
  const paint = (node, name, svg) => {
    const style = getComputedStyle(node);
    const text = style[name], extra = +style[name + 'Opacity'];
    const pattern = /url\\("?#([^")]+)/.exec(text);
    if (pattern) {
      const hatch = svg.querySelector('#' + CSS.escape(pattern[1]));
      const both = part => [paint(part, 'fill', svg), paint(part, 'stroke', svg)];
      const parts = [...hatch.children].flatMap(both);
      return Math.max(...parts.filter(each => each !== null));
    }
    const colour = parse(text);
    if (!colour) return null;
    colour.a *= extra * opacity(node, svg);
    return colour.a < 0.3 ? null : contrast(colour);  // grids and bands are there to be overlooked
  };
  const found = {overlaps: [], outside: [], texts: [], marks: [], pictures: 0, tips: 0};
  for (const svg of document.querySelectorAll('.lab-chart svg')) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    found.pictures += 1;
    found.tips += svg.querySelectorAll('g title, use title').length;
    const name = svg.getAttribute('aria-label');
    const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent.trim());
    const boxes = texts.map(text => {
      const box = text.getBBox(), at = text.getScreenCTM(), corners = [];
      for (const x of [box.x, box.x + box.width]) for (const y of [box.y, box.y + box.height])
        corners.push([at.a * x + at.c * y + at.e, at.b * x + at.d * y + at.f]);
      const xs = corners.map(each => each[0]), ys = corners.map(each => each[1]);
      return [Math.min(...xs) + 1, Math.max(...xs) - 1, Math.min(...ys) + 1, Math.max(...ys) - 1];
    });
    texts.forEach((text, i) => {
      const [left, right, top, bottom] = boxes[i];
      const across = left < frame.left - 2 || right > frame.right + 2;
      if (across || top < frame.top - 2 || bottom > frame.bottom + 2)
        found.outside.push(`${name}: ${text.textContent}`);
      for (let j = 0; j < i; j += 1) {
        const [l, r, t, b] = boxes[j];
        if (left < r && l < right && top < b && t < bottom)
          found.overlaps.push(`${name}: ${text.textContent} / ${texts[j].textContent}`);
      }
      found.texts.push([paint(text, 'fill', svg), `${name}: ${text.textContent}`]);
    });
    for (const node of svg.querySelectorAll('path, use')) {
      if (node.closest('defs, clipPath, pattern')) continue;
      const seen = ['fill', 'stroke'].map(each => paint(node, each, svg)).filter(each => each !== null);
      if (seen.length) found.marks.push([Math.max(...seen), `${name}: ${node.outerHTML.slice(0, 300)}`]);
    }
  }
  return found;
}
"""


@pytest.fixture(params=["baseline", *CASES])
def measured(request: pytest.FixtureRequest, browser: Any) -> dict[tuple[str, int], Any]:
    """What was measured of a case, by theme and width."""
    found = {}
    for theme, (ground, ink) in THEMES.items():
        for width in WIDTHS:
            tab = browser.new_page(viewport={"width": width, "height": 800})
            root = f":root{{--jp-layout-color0:{ground}}}"
            body = f"body{{margin:0;background:{ground};color:{ink};font:14px sans-serif}}"
            tab.set_content(f"<!doctype html><style>{root}{body}</style>{page(request.param)}")
            own = tab.evaluate("getComputedStyle(document.body).backgroundColor")
            found[theme, width] = tab.evaluate(MEASURE, [own])
            tab.close()
    return found


def test_texts_stand_apart_and_everything_is_seen_in_both_themes_and_widths(
    measured: dict[tuple[str, int], Any], request: pytest.FixtureRequest, record_property: Any
) -> None:
    for (theme, width), of in measured.items():
        where = f"{theme}, {width} px"
        assert of["pictures"] > 0
        assert (where, of["overlaps"]) == (where, [])
        assert (where, of["outside"]) == (where, [])
        assert [(where, *each) for each in of["texts"] if each[0] < TEXT] == []
        assert [(where, *each) for each in of["marks"] if each[0] < MARK] == []
        least = {what: min((each[0] for each in of[what]), default=None) for what in ("texts", "marks")}
        record_property(where, f"{least} over {len(of['marks'])} marks")
        print(request.node.name, where, least, of["pictures"], "pictures", of["tips"], "tips")
