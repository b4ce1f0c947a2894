"""The commands that begin a pipeline of one's own: `lab init` and `lab show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lab.errors import BadParameter

__all__ = ["init", "show"]

EXAMPLE = """\
# yaml-language-server: $schema={schema}
# A pipeline of your own. See it with `lab show {file}`. All paths are relative to this file.
version: 1
name: {name}

entry:                                # what is sent, and where
  service: gateway
  method: POST
  path: /checkout
  headers: {{content-type: application/json}}
  body: {{order: 17, items: [tea, milk]}}  # or body_file: order.json
  expect: {{status: [200, 201]}}        # by default every 2xx is a success

services:
  gateway:
    app: shop.gateway:app             # as uvicorn takes it: an ASGI app, or a factory
    # python: .venv/bin/python        # the Python that has what the app imports
    calls: [[search, price], render]  # in turn; an inner list side by side
    # env: {{CATALOGUE: "{{search.url}}"}}  # SEARCH_URL, PRICE_URL, RENDER_URL, PORT and HOST are set anyway

  search:
    app: shop.search:app
    replicas: 2                       # two instances, with a balancer before them
    policy: least_connections         # of that balancer
    idempotent: [GET, POST /search]   # what may be sent again after a failure

  price:
    command: [node, price.js, --port, "{{port}}"]  # any program; no shell runs it
    ready: /healthz                   # answers 2xx once the server is ready; else its port is tried

  render:
    url: http://127.0.0.1:9000        # runs already: called, never started
"""


def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it.")] = Path("pipeline.yml"),
) -> None:
    """Write a commented example of a pipeline file, and beside it a JSON Schema for editors."""
    from lab.pipeline.form import json_schema

    if file.suffix not in (".yml", ".yaml"):
        raise BadParameter(f"{file} is no name of a YAML file: end it in .yml")
    schema = file.with_suffix(".schema.json")
    name = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in file.stem)
    _write(file, EXAMPLE.format(schema=schema.name, file=file, name=name if name.isascii() else "pipeline"))
    _write(schema, json.dumps(json_schema(), indent=2) + "\n")
    print(f"wrote {file}: fill in your services, then run `lab show {file}`")


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as written:
            written.write(text)
    except FileExistsError:
        raise BadParameter(f"{path} exists already: give another name, or remove it first") from None
    except OSError as error:
        raise BadParameter(f"{path} cannot be written: {error.strerror}") from None


def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A pipeline file.")],
    svg: Annotated[Path | None, typer.Option(metavar="PATH", help="Write the graph there as SVG.")] = None,
) -> None:
    """Draw a pipeline: who calls whom, where every server listens, and in which order they start."""
    from lab.pipeline import read_pipeline
    from lab.pipeline.drawing import as_lines, as_svg

    pipeline = read_pipeline(file)
    for line in as_lines(pipeline):
        print(line)
    if svg:
        try:
            svg.write_text(as_svg(pipeline), encoding="utf-8")
        except OSError as error:
            raise BadParameter(f"{svg} cannot be written: {error.strerror}") from None
