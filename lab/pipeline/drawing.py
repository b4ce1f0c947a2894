"""Draw a pipeline: as lines for a terminal, and as an SVG that takes the colour of the text around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from lab.pipeline.form import Call, OwnService, Pipeline
from lab.pipeline.graph import start_order
from lab.pipeline.wiring import origin_of, topology_of
from lab.topology import Service, Topology

__all__ = ["as_lines", "as_svg", "order_of"]

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 210, 62, 64, 22, 16
"""Of a box, between boxes and around the picture, in px."""


def order_of(pipeline: Pipeline) -> list[list[str]]:
    """Return the services in the order of their start: callees first, those of one list together."""
    return start_order({name: form.called for name, form in pipeline.services.items()})


def as_lines(pipeline: Pipeline) -> Iterator[str]:
    """Yield the pipeline as a tree of calls, then where every server listens, then the order of start."""
    topology = topology_of(pipeline)
    yield f"{pipeline.name}: {pipeline.entry.method} {topology.entry_url}"
    yield ""
    yield from _tree(pipeline, pipeline.entry.service, pipeline.entry.service)
    left = [name for name in pipeline.services if name not in _reached(pipeline, pipeline.entry.service)]
    if left:
        yield f"never called: {', '.join(left)}"
    yield ""
    yield from _table(pipeline, topology)
    yield ""
    started = [[name for name in step if not pipeline.services[name].url] for step in order_of(pipeline)]
    yield "start: " + ", then ".join(" + ".join(step) for step in started if step)


def _tree(pipeline: Pipeline, name: str, label: str, indent: str = "") -> Iterator[str]:
    yield label
    steps = [(route, step) for route, steps in pipeline.services[name].calls.items() for step in steps]
    branches = [(route, step, call) for route, step in steps for call in step]
    for at, (route, step, call) in enumerate(branches):
        last = at == len(branches) - 1
        bend, beyond = ("└─ ", "   ") if last else ("├─ ", "│  ")
        inner = _tree(pipeline, call.service, _label(route, step, call), indent + beyond)
        yield f"{indent}{bend}{next(inner)}"
        yield from inner


def _label(route: str, step: tuple[Call, ...], call: Call) -> str:
    beside = " and ".join(other.service for other in step if other is not call)
    notes = [f"on {route}" if route else "", f"beside {beside}" if beside else "", _often(call)]
    said = "; ".join(filter(None, notes))
    return f"{call.service}{call.path or ''}" + (f" ({said})" if said else "")


def _often(call: Call) -> str:
    times = f"{call.times:g} times" if call.times != 1 else ""
    share = f"in {call.probability:.0%} of requests" if call.probability != 1 else ""
    return " ".join(filter(None, (times, share)))


def _reached(pipeline: Pipeline, name: str) -> set[str]:
    found = {name}
    for called in pipeline.services[name].called:
        found |= _reached(pipeline, called)
    return found


def _table(pipeline: Pipeline, topology: Topology) -> Iterator[str]:
    rows = [row for service in topology.services for row in _servers(pipeline, service)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, address, what in rows:
        yield f"{name:<{widths[0]}}  {address:<{widths[1]}}  {what}"


def _servers(pipeline: Pipeline, service: Service) -> Iterator[tuple[str, str, str]]:
    form = pipeline.services[service.name]
    if service.balancer:
        what = f"balancer ({form.balancer or 'builtin'}, {service.balancer.policy})"
        yield service.balancer.name, service.balancer.url.removeprefix("http://"), what
    for instance in service.instances:
        yield instance.name, instance.address, origin_of(form)


@dataclass(frozen=True, slots=True)
class _Box:
    x: int
    y: int
    service: Service
    form: OwnService


def as_svg(pipeline: Pipeline) -> str:
    """Return the graph as SVG: columns from the entry to what it calls last, arrows along the calls."""
    topology = topology_of(pipeline)
    columns = _columns(pipeline)
    boxes = {
        name: _Box(
            MARGIN + at * (WIDTH + GAP_X),
            MARGIN + row * (HEIGHT + GAP_Y),
            topology.service(name),
            pipeline.services[name],
        )
        for at, names in enumerate(columns)
        for row, name in enumerate(names)
    }
    width = 2 * MARGIN + len(columns) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + max(map(len, columns)) * (HEIGHT + GAP_Y) - GAP_Y
    title = f"{pipeline.name}: {pipeline.entry.method} {pipeline.entry.path} to {pipeline.entry.service}"
    inner = "\n".join([*_arrows(boxes), *map(_drawn, boxes.values())])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={quoteattr(title)} '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" '
        'color="CanvasText">\n'
        f"<title>{escape(title)}</title>\n"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="currentColor"/></marker></defs>\n'
        f"{inner}\n</svg>\n"
    )


def _columns(pipeline: Pipeline) -> list[list[str]]:
    """Return the services by the most calls that lie between them and a service that nobody calls."""
    callers: dict[str, list[str]] = {name: [] for name in pipeline.services}
    for name, form in pipeline.services.items():
        for called in form.called:
            callers[called].append(name)
    return start_order(callers)  # callers first


def _drawn(box: _Box) -> str:
    service, form = box.service, box.form
    dash = ' stroke-dasharray="5 4"' if form.url else ""
    many = f" ×{form.replicas}" if form.replicas > 1 else ""
    where = service.url.removeprefix("http://")
    lines = [(f"{service.name}{many}", 20, 15), (where, 38, 12), (_cut(origin_of(form)), 53, 11)]
    texts = "".join(
        f'<text x="{box.x + 12}" y="{box.y + y}" font-size="{size}" fill="currentColor">{escape(text)}</text>'
        for text, y, size in lines
    )
    return (
        f'<g><rect x="{box.x}" y="{box.y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="none" '
        f'stroke="currentColor"{dash}/>{texts}</g>'
    )


def _cut(text: str, most: int = 32) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _arrows(boxes: Mapping[str, _Box]) -> Iterator[str]:
    for box in boxes.values():
        for called in box.form.called:
            there = boxes[called]
            x1, y1, x2, y2 = box.x + WIDTH, box.y + HEIGHT // 2, there.x, there.y + HEIGHT // 2
            bend = GAP_X // 2
            yield (
                f'<path d="M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}" fill="none" '
                'stroke="currentColor" marker-end="url(#tip)"/>'
            )
