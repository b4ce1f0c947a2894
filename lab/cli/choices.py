"""The options that several commands share, each described once."""

from __future__ import annotations

from typing import Annotated

import typer

from services.protocols import ProtocolName

__all__ = ["JSON", "Offset", "ServerName", "UpOffset", "UpProtocol"]

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
