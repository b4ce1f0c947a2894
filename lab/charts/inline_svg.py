"""A figure as SVG that is part of a page: its text, colours and tooltips are the page's own.

As an image of its own (`image/svg+xml`, `<img>`) a picture has no text to select, no alternative, no tooltip,
and not the theme. So here the ink becomes `currentColor`, white becomes the page's ground, and a `<title>` in
each mark says what the mark stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.figure import Figure

from lab.charts.style import FAINT, INK, RC, SOFT
from lab.charts.tooltips import tips_in

__all__ = ["inline_svg"]

_PAGE = "var(--jp-layout-color0, var(--vscode-editor-background, none))"
"""The ground of JupyterLab's pages and of exported ones, and of VS Code; elsewhere nothing is painted."""
_COLOURS = {
    INK: ("currentColor", ""),
    "#000000": ("currentColor", ""),
    "#ffffff": (_PAGE, ""),
    FAINT: ("currentColor", "0.16"),
    SOFT: ("currentColor", "0.1"),
}
"""What a colour becomes, and its opacity if that changes."""
_COLOUR_OF = {name.lower(): becomes for name, becomes in _COLOURS.items()}
_REFERENCE = re.compile(r"(?:url\(#|^#)([^)]+)")
_NOT_NEEDED = ("metadata", "style")
"""matplotlib's style sheet would hold for the whole page."""


def inline_svg(figure: Figure, title: str, description: str, salt: str) -> str:
    """Render a figure as an `<svg>` element.

    `title` and `description` are for those who do not see it. `salt` keeps the ids apart from those of other
    pictures on the page.
    """
    root = _render(figure, salt)
    used = set(_references(root))
    for element in root.iter():
        _restyle(element)
        _add_tips(element)
        if element.get("id") not in used:
            element.attrib.pop("id", None)
    _, _, width, height = root.get("viewBox", "0 0 0 0").split()
    root.attrib = {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": title}
    root.attrib |= {"fill": "currentColor", "stroke-linejoin": "round", "style": f"max-width:{_px(width)}px"}
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        told = ElementTree.Element(tag)
        told.text = text
        root.insert(place, told)
    return ElementTree.tostring(root, encoding="unicode")


def _px(points: str) -> int:
    return round(float(points) * 100 / 72)


def _render(figure: Figure, salt: str) -> ElementTree.Element:
    """Draw without a ground, and give the elements without namespaces, as HTML has them."""
    drawn = BytesIO()
    with rc_context(RC | {"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(drawn, format="svg", facecolor="none", metadata={"Date": None})
    root = ElementTree.fromstring(drawn.getvalue())
    for parent in root.iter():
        parent.tag = parent.tag.rpartition("}")[2]
        parent.text, parent.tail = (text and text.strip() for text in (parent.text, parent.tail))
        for child in list(parent):
            if child.tag.rpartition("}")[2] in _NOT_NEEDED:
                parent.remove(child)
        parent.attrib = {name.rpartition("}")[2]: value for name, value in parent.attrib.items()}
    return root


def _references(root: ElementTree.Element) -> Iterator[str]:
    for element in root.iter():
        for value in element.attrib.values():
            yield from _REFERENCE.findall(value)


def _restyle(element: ElementTree.Element) -> None:
    """Give an element the page's colours, and text the page's typeface."""
    style = dict(each.split(": ", 1) for each in element.get("style", "").split("; ") if ": " in each)
    style.pop("font-family", None)
    if "fill" in element.attrib:  # the ground of a hatch
        style["fill"] = element.attrib.pop("fill")
    for of in ("fill", "stroke"):
        becomes, opacity = _COLOUR_OF.get(style.get(of, "").rstrip(";").lower(), ("", ""))
        if becomes:
            style[of] = becomes
        if opacity:
            style[f"{of}-opacity"] = opacity
    if style:
        element.set("style", ";".join(f"{name}:{value.rstrip(';')}" for name, value in style.items()))


def _add_tips(element: ElementTree.Element) -> None:
    """Put one title into all of the element, or one into each of its marks."""
    tips = tips_in(element.get("id", ""))
    marks = list(element.iter("use"))
    for mark, tip in zip(marks if len(marks) == len(tips) else [element], tips, strict=False):
        title = ElementTree.Element("title")
        title.text = tip
        mark.insert(0, title)
