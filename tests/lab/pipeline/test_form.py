"""The form of a pipeline, and what is said of a file that breaks it."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from lab.cli.pipeline_file import EXAMPLE
from lab.errors import BadParameter
from lab.pipeline import Call, Entry, OwnService, Pipeline, ServiceKind, read_pipeline
from lab.pipeline.document import plain, read_document
from lab.pipeline.form import json_schema

SHOP = """\
version: 1
name: shop
entry: {service: gateway, path: /checkout, body: {order: 17}, expect: {status: [200, 201]}}
x-common: &common {MODE: no, LEVEL: 1.10}
services:
  gateway: {app: "shop:app", calls: [[search, price], render], env: {<<: *common, AT: "{search.url}"}}
  search:
    app: shop.search:app
    replicas: 2
    idempotent: [GET, POST /search]
    calls: [{service: db, times: 3, probability: 0.8}]
  price: {command: 'node price.js --port {port}', ready: /healthz, balancer: haproxy}
  render: {url: "http://127.0.0.1:9000"}
  db: {kind: tcp, command: [redis-server, --port, "{port}"]}
"""


def read(folder: Path, text: str) -> Pipeline:
    path = folder / "shop.yml"
    path.write_text(text, encoding="utf-8")
    return read_pipeline(path)


def refusal(folder: Path, text: str) -> list[str]:
    """What is said of the file, a mistake a line, without the folder."""
    with pytest.raises(BadParameter) as refused:
        read(folder, text)
    return str(refused.value).replace(f"{folder}/", "").splitlines()


def with_services(services: str) -> str:
    return f"name: shop\nentry: {{service: a}}\nservices:\n{services}"


def test_a_file_and_its_twin_in_python_are_equal(tmp_path: Path) -> None:
    twin = Pipeline(
        name="shop",
        entry=Entry(service="gateway", path="/checkout", body={"order": 17}, expect={"status": [200, 201]}),
        services={
            "gateway": OwnService(
                app="shop:app",
                calls=[["search", "price"], "render"],
                env={"MODE": "no", "LEVEL": "1.10", "AT": "{search.url}"},
            ),
            "search": OwnService(
                app="shop.search:app",
                replicas=2,
                idempotent=["GET", "POST /search"],
                calls=[Call(service="db", times=3, probability=0.8)],
            ),
            "price": OwnService(
                command=["node", "price.js", "--port", "{port}"], ready="/healthz", balancer="haproxy"
            ),
            "render": OwnService(url="http://127.0.0.1:9000"),
            "db": OwnService(kind=ServiceKind.TCP, command=["redis-server", "--port", "{port}"]),
        },
        folder=tmp_path,
    )
    assert read(tmp_path, SHOP) == twin


@pytest.mark.parametrize("written", ["no", "1.10", "2026_11_27", "12:30", "007", "null-like", "0x10"])
def test_a_name_is_the_text_that_was_written(tmp_path: Path, written: str) -> None:
    text = f"name: {written.replace(':', '-')}\nentry: {{service: {written.replace(':', '-')}}}\n"
    pipeline = read(tmp_path, text + f"services: {{{written.replace(':', '-')}: {{command: x}}}}\n")
    assert pipeline.name == pipeline.entry.service == next(iter(pipeline.services))
    assert pipeline.name == written.replace(":", "-")


def test_calls_may_be_given_by_route(tmp_path: Path) -> None:
    services = "  a: {command: x, calls: {GET /menu: [b], POST: [[b, c]]}}\n  b: &b {command: x}\n  c: *b\n"
    found = read(tmp_path, with_services(services)).services["a"]
    assert list(found.calls) == ["GET /menu", "POST"]
    assert found.called == ("b", "c")
    assert [[call.service for call in step] for step in found.steps] == [["b"], ["b", "c"]]


def test_keys_that_begin_with_x_are_anyones_own(tmp_path: Path) -> None:
    services = "  a: {command: x, x-team: web}\nx-note: {any: thing}\n"
    assert read(tmp_path, with_services(services)).services["a"].command == ("x",)


@pytest.mark.parametrize(
    ("services", "said"),
    [
        ("  a: {comand: x}\n", "shop.yml:4: services.a.comand: no such key: did you mean command?"),
        ("  a: {command: x}\n  b: {ap: x:y}\n", "shop.yml:5: services.b.ap: no such key: did you mean app?"),
        ("  a:\n    command: x\n    replicas: two\n", "shop.yml:6: services.a.replicas: 'two' does not fit"),
        ("  a: {command: x, replicas: 0}\n", "services.a.replicas: '0' does not fit"),
        ("  a: {command: x, policy: rond_robin}\n", "did you mean round_robin?"),
        ("  a: {command: x, balancer: ngnix}\n", "did you mean nginx?"),
        ("  a: {command: x, kind: tcpp}\n", "did you mean tcp?"),
        ("  a: {command: x, calls: [b]}\n", "services.a.calls.0: there is no service 'b': there are a"),
        ("  a: {command: x, calls: [serch]}\n  search: {command: x}\n", "did you mean search?"),
        ("  a: {command: x, calls: [[a2, {service: a2, tims: 2}]]}\n  a2: {command: x}\n", "mean times?"),
        ("  a: {command: x, calls: [{service: b, times: x}]}\n  b: {command: x}\n", "a.calls.0.times: 'x' "),
        ("  a: {command: x, calls: {menu: [b]}}\n  b: {command: x}\n", "'menu' is no route"),
        ("  a: {command: x, calls: [b]}\n  b: {command: x, calls: [a]}\n", "a circle: a → b → a"),
        ("  a: {command: x, calls: [a]}\n", "a circle: a → a"),
        ("  a: {command: x}\n  b-c: {command: x}\n  b_c: {command: x}\n", "both be found in B_C_URL"),
        ("  a: {command: x, port: 80, replicas: 2}\n", "two instances cannot listen on one port"),
        ("  a: {command: x, port: 80}\n  b: {command: x, port: 80}\n", "a has port 80 already"),
        ("  a: {command: x, port: 65536}\n", "services.a.port: '65536' does not fit"),
        ("  a: {command: x, app: y:z}\n", "services.a: app and command are given"),
        ("  a: {}\n", "services.a: nothing says how it comes alive"),
        ("  a: {url: ftp://x}\n", "services.a.url: 'ftp://x' is no base URL"),
        ("  a: {url: http://x, replicas: 2}\n", "a service with url runs already and is only called"),
        ("  a: {command: x, python: p}\n", "services.a: a service with command has no use for python"),
        ("  a: {command: x}\n  b: {kind: tcp, command: x, replicas: 2}\n", "never balanced or measured"),
        ("  a: {kind: tcp, command: x}\n", "entry.service: a has kind tcp"),
        ("  a: {command: 'x \"y'}\n", "cannot be split as a shell would"),
        ("  a: {command: x, idempotent: [post]}\n", "'post' is no route"),
        ("  a: {command: x, ready: health}\n", "'health' is no path"),
        ("  a: {command: x, ready_within: -1}\n", "services.a.ready_within: '-1' does not fit"),
        ("  a: {command: x, env: [A]}\n", "services.a.env: ["),
        ("  a: {command: x, tuning: {b: {c: 1}}}\n", "a valid number or a valid boolean or a valid string"),
        ("  a: {command: x}\n  a b: {command: x}\n", "'a b' is no name of a service"),
        ("  b: {command: x}\n", "entry.service: there is no service 'a': there are b"),
        ("  a: x\n", "services.a: 'x' does not fit"),
        ("  a: {command: x}\nfolder: y\n", "folder is no key of a file"),
        ("  a: {command: x}\nversion: 2\n", "version: 2 is none of its values: give one of 1"),
    ],
)
def test_a_mistake_is_said_with_its_line_its_place_and_the_nearest_word(
    tmp_path: Path, services: str, said: str
) -> None:
    lines = refusal(tmp_path, with_services(services))
    assert len(lines) == 1
    assert lines[0].startswith("shop.yml:")
    assert said in lines[0]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{service: a, method: get}", "entry.method: 'get' is no method of HTTP"),
        ("{service: a, path: x}", "entry.path: 'x' is no path"),
        ("{service: a, body: x, body_file: y}", "entry: body and body_file are given: keep one"),
        ("{service: a, expect: {status: 99}}", "99 is no status of HTTP"),
        ("{service: a, expect: {status: ok}}", "entry.expect.status"),
        ("{servise: a}", "entry.servise: no such key: did you mean service?"),
    ],
)
def test_a_mistake_in_the_entry_is_said_too(tmp_path: Path, entry: str, said: str) -> None:
    lines = refusal(tmp_path, f"name: shop\nentry: {entry}\nservices: {{a: {{command: x}}}}\n")
    assert any(said in line and line.startswith("shop.yml:2: ") for line in lines)


def test_all_mistakes_of_a_file_are_said_at_once(tmp_path: Path) -> None:
    lines = refusal(tmp_path, with_services("  a: {comand: x}\n  b: {command: x, replicas: no}\n"))
    assert [line.split(": ")[0] for line in lines] == ["shop.yml:4", "shop.yml:5"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path, "name: shop\n") == [
        "shop.yml:1: entry: this key is missing",
        "shop.yml:1: services: this key is missing",
    ]


def test_text_that_is_sent_stays_as_written_and_data_is_sent_as_what_it_is(tmp_path: Path) -> None:
    def body(written: str) -> object:
        services = "services: {a: {command: x}}\n"
        return read(tmp_path, f"name: shop\nentry: {{service: a, body: {written}}}\n{services}").entry.body

    assert body("1.10") == "1.10"
    assert body("{a: 1.10, b: [no, '007', 2026-11-27]}") == {"a": 1.1, "b": [False, "007", "2026-11-27"]}


def test_the_twin_in_python_says_its_mistakes_in_the_same_words() -> None:
    with pytest.raises(BadParameter) as refused:
        Pipeline(name="a b", entry=Entry(service="a"), services={"a": {"comand": "x"}})
    assert str(refused.value).splitlines() == [
        "name: 'a b' is no name: use letters, digits, '.', '_' and '-'",
        "services.a.comand: no such key: did you mean command?",
    ]


def test_the_example_and_other_files_fit_the_schema_that_editors_use(tmp_path: Path) -> None:
    path = tmp_path / "example.yml"
    path.write_text(EXAMPLE.format(schema="example.schema.json", file=path, name="example"))
    assert list(read_pipeline(path).services) == ["gateway", "search", "price", "render"]
    editor = jsonschema.Draft202012Validator(json_schema())
    editor.check_schema(json_schema())
    for text in (path.read_text(), SHOP):
        path.write_text(text)
        assert list(editor.iter_errors(plain(read_document(path).data))) == []
    path.write_text(with_services("  a: {comand: x}\n"))
    assert list(editor.iter_errors(plain(read_document(path).data))) != []
