"""The options that several commands share: how to reach a URL, which topology is meant, how to print.

And which of them help with a status that is not wanted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lab.errors import BadParameter
from services.names import ProtocolName

__all__ = [
    "CPU",
    "HINTS",
    "JSON",
    "URL",
    "BodyFile",
    "BodyText",
    "CAFile",
    "CertFile",
    "HeaderLines",
    "KeyFile",
    "Method",
    "Offset",
    "PayloadBytes",
    "Processes",
    "Remote",
    "Seed",
    "ServerName",
    "Timeout",
    "UpOffset",
    "UpProtocol",
    "WindowTime",
    "require_between",
    "require_writable",
]

INTERRUPTED = 130
"""The exit code of shells for a program that Ctrl-C ended: 128 and the number of SIGINT."""
MOST_BYTES = 2**30
"""Of a body: each generator holds it in memory, and more is taken for a slip of the finger."""
MOST_PROCESSES = 256
MOST_USERS = 1_000_000

URL = Annotated[
    str, typer.Argument(metavar="URL", help="What to load: http, https, or unix:/run/app.sock:/path.")
]
Method = Annotated[str | None, typer.Option(help="GET, or POST where there is a body.")]
HeaderLines = Annotated[list[str] | None, typer.Option("--header", help="'Name: value'; may be repeated.")]
BodyFile = Annotated[Path | None, typer.Option("--body", help="A file to send as it is.")]
BodyText = Annotated[str | None, typer.Option("--body-text", help="A text to send as it is, in UTF-8.")]
PayloadBytes = Annotated[
    int | None,
    typer.Option(
        min=1, max=MOST_BYTES, help="Send the pipeline's own JSON instead, with a text of this length."
    ),
]
Timeout = Annotated[str, typer.Option(metavar="TIME", help="How long to wait for an answer, as in 30s.")]
WindowTime = Annotated[
    str, typer.Option(metavar="TIME", help="How long to measure, as in 5s, 500ms or 2min.")
]
CPU = Annotated[str | None, typer.Option(help="Keep the generator on these cores, as in 1 or 2,3.")]
CertFile = Annotated[
    str | None, typer.Option("--cert", help="File of the client's certificate, for https that wants one.")
]
KeyFile = Annotated[
    str | None, typer.Option("--key", help="File of its key, where that is not in the same file.")
]
CAFile = Annotated[str | None, typer.Option(help="File of certificates to trust for https.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the schedule.")]
Processes = Annotated[
    int, typer.Option(min=1, max=MOST_PROCESSES, help="Load generators, where one is not enough.")
]
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

_MOVED = "redirects are not followed, so name the address that the answer's Location gives"
_BODY = "the body is not what the server wants: see --body, --body-text and --header 'Content-Type: …'"
HINTS = {
    **dict.fromkeys(("http_301", "http_302", "http_303", "http_307", "http_308"), _MOVED),
    "http_304": "the answer has no body: leave out the header that asks whether anything changed",
    **dict.fromkeys(("http_400", "http_422"), _BODY),
    **dict.fromkeys(("http_401", "http_403"), "the server wants to know who asks: see --header and --cert"),
    "http_404": "the server has nothing there: see the path of the URL",
    "http_405": "the path wants another method: see --method, and --body or --body-text, which make it POST",
    "http_411": "the server wants a body: see --body and --body-text",
    "http_413": "the body is too large for the server: see --body and --payload-bytes",
    "http_415": "the body is of another type: see --header 'Content-Type: application/json'",
    "http_429": "the server limits how much one client may ask: lift that, or load less",
}
"""What to do about a status, by its outcome."""


def require_between(option: str, value: float | None, least: float, most: float) -> None:
    """Check a number that was typed, if one was. Raises BadParameter, also for nan."""
    if value is not None and not least <= value <= most:
        raise BadParameter(f"{option} is {value:g}: give a number from {least:g} to {most:,g}")


def require_writable(path: Path) -> None:
    """Check that a CSV and its sidecar can be written there, and leave nothing. Raises BadParameter."""
    from lab.results.sidecar import Sidecar

    try:
        if path.is_dir():
            raise BadParameter(f"--csv {path} is a directory: name a file in it, such as {path / 'mine.csv'}")
        sidecar = Sidecar.path_for(path)
        if path.exists() and not path.is_file():
            raise BadParameter(f"--csv {path} is no regular file: name one, such as mine.csv")
        if sidecar == path:
            raise BadParameter(
                f"--csv {path} has the name of its own sidecar: name the CSV {path.with_suffix('.csv')}"
            )
        if not path.parent.is_dir():
            raise BadParameter(f"--csv {path} cannot be written: make the directory {path.parent}")
        if sidecar.is_dir():
            raise BadParameter(f"--csv {path} needs a sidecar {sidecar}, which is a directory: name another")
        _try_to_write(path)
    except OSError as error:
        raise BadParameter(
            f"--csv {path} cannot be written ({error.strerror}): see its permissions, or name another"
        ) from None


def _try_to_write(path: Path) -> None:
    """Open a file for appending, and remove it if it was not there. Raises OSError."""
    is_new = not path.exists()
    with path.open("ab"):
        pass
    if is_new:
        path.unlink()
    if not os.access(path.parent, os.W_OK | os.X_OK):  # where the sidecar is replaced
        raise PermissionError(None, "its directory is read-only")
