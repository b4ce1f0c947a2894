"""The options that several commands share: how to reach a URL, which topology is meant, how to print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.names import ProtocolName

__all__ = [
    "CPU",
    "JSON",
    "URL",
    "BodyFile",
    "CAFile",
    "HeaderLines",
    "Method",
    "Offset",
    "PayloadBytes",
    "Processes",
    "Remote",
    "Seed",
    "ServerName",
    "UpOffset",
    "UpProtocol",
]

URL = Annotated[str, typer.Argument(metavar="URL", help="What to load, http or https.")]
Method = Annotated[str | None, typer.Option(help="GET, or POST where there is a body.")]
HeaderLines = Annotated[list[str] | None, typer.Option("--header", help="'Name: value'; may be repeated.")]
BodyFile = Annotated[Path | None, typer.Option("--body", help="A file to send as it is.")]
PayloadBytes = Annotated[
    int | None, typer.Option(help="Send the pipeline's own JSON instead, with a text of this length.")
]
CPU = Annotated[str | None, typer.Option(help="Keep the generator on these cores, as in 1 or 2,3.")]
CAFile = Annotated[str | None, typer.Option(help="File of certificates to trust for https.")]
Seed = Annotated[int, typer.Option(help="Seed of the schedule.")]
Processes = Annotated[int, typer.Option(min=1, help="Load generators, where one is not enough.")]
Remote = Annotated[
    bool, typer.Option("--remote", help="Allow a host that is not loopback. Load only what is yours.")
]
Offset = Annotated[int, typer.Option(help="Add this to every documented port.")]
UpOffset = Annotated[
    int | None,
    typer.Option("--offset", help="Which of several topologies that are up: the one at this offset."),
]
UpProtocol = Annotated[
    ProtocolName | None,
    typer.Option("--protocol", help="Which of several topologies that are up: the one that speaks this."),
]
ServerName = Annotated[str, typer.Argument(metavar="SERVER", help="Its name, such as service1a.")]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
