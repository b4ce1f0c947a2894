"""A pipeline as lines and as SVG."""

from __future__ import annotations

from xml.etree import ElementTree

from lab.pipeline import Entry, OwnService, Pipeline
from lab.pipeline.drawing import as_lines, as_svg, order_of

SHOP = Pipeline(
    name="shop",
    entry=Entry(service="gateway", path="/a<b"),
    services={
        "gateway": OwnService(app="shop:app", calls=[["search", "price"], "render"]),
        "search": OwnService(app="s:app", replicas=2, calls=[{"service": "db", "times": 3}]),
        "price": OwnService(command=["node", "price.js"]),
        "render": OwnService(url="http://127.0.0.1:9000"),
        "db": OwnService(kind="tcp", command=["redis-server"]),
        "idle": OwnService(command=["x"]),
    },
)


def test_lines_show_calls_places_and_the_order_of_start() -> None:
    assert list(as_lines(SHOP)) == [
        "shop: POST http://127.0.0.1:8201/a<b",
        "",
        "gateway",
        "├─ search (beside price)",
        "│  └─ db (3 times)",
        "├─ price (beside search)",
        "└─ render",
        "never called: idle",
        "",
        "gateway              127.0.0.1:8201  shop:app",
        "search-loadbalancer  127.0.0.1:8202  balancer (builtin, round_robin)",
        "search-a             127.0.0.1:8203  s:app",
        "search-b             127.0.0.1:8204  s:app",
        "price                127.0.0.1:8205  node price.js",
        "render               127.0.0.1:9000  runs already",
        "db                   127.0.0.1:8206  tcp: redis-server",
        "idle                 127.0.0.1:8207  x",
        "",
        "start: price + db + idle, then search, then gateway",
    ]


def test_callees_start_before_their_callers() -> None:
    place = {name: at for at, together in enumerate(order_of(SHOP)) for name in together}
    for name, service in SHOP.services.items():
        assert all(place[called] < place[name] for called in service.called)


def test_the_picture_has_a_box_a_service_an_arrow_a_call_and_a_title() -> None:
    root = ElementTree.fromstring(as_svg(SHOP))
    tags = [element.tag.rpartition("}")[2] for element in root.iter()]
    calls = sum(len(service.called) for service in SHOP.services.values())
    assert tags.count("rect") == len(SHOP.services)
    assert tags.count("path") == calls + 1  # the tip of the arrows
    assert root.get("role") == "img"
    assert root.get("aria-label") == "shop: POST /a<b to gateway"


def test_boxes_do_not_overlap() -> None:
    root = ElementTree.fromstring(as_svg(SHOP))
    boxes = [
        tuple(int(element.get(key, "")) for key in ("x", "y", "width", "height"))
        for element in root.iter()
        if element.tag.endswith("rect")
    ]
    for at, (x, y, width, height) in enumerate(boxes):
        for x2, y2, width2, height2 in boxes[at + 1 :]:
            assert x + width <= x2 or x2 + width2 <= x or y + height <= y2 or y2 + height2 <= y
