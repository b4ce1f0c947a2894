"""All commands under one name, the exit codes for their errors, and streams whose trouble costs no figure."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TextIO

import typer

from lab.cli.benchmark import benchmark
from lab.cli.doctor import doctor
from lab.cli.options import INTERRUPTED
from lab.cli.pipeline_file import init, show
from lab.cli.results import chart, check, compare
from lab.cli.running import down, kill, logs, restart, stats, test
from lab.cli.up import up
from lab.cli.url import load, saturate
from lab.errors import BadParameter, LabError
from lab.plain_text import write_plainly

__all__ = ["app", "run"]

FAILED = 1
MISUSED = 2

app = typer.Typer(
    name="lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(up)
app.command()(down)
app.command()(restart)
app.command()(kill)
app.command()(test)
app.command()(benchmark)
app.command()(logs)
app.command()(stats)
app.command()(doctor)
app.command()(load)
app.command()(saturate)
app.command()(compare)
app.command()(chart)
app.command()(check)
app.command()(init)
app.command()(show)


_MISTAKES: tuple[type[Any], ...] = typer.BadParameter.__mro__[:3]
"""Click's exceptions for options and arguments that are wrong, wherever this Typer keeps them."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"pipeline-lab {version('pipeline-lab')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    """Start a pipeline of HTTP services, drive it with load, and measure it without fooling yourself."""


def run() -> None:
    """Run the command line and end this process: 0 if all went well, 1 if not, 2 if it was misused.

    What a standard stream cannot take costs no more than itself: a character that its encoding lacks becomes
    a plainer one, and what stdout cannot write goes to stderr, and makes a 0 a 1. Raises KeyboardInterrupt.
    """
    with _lenient_streams() as out:
        code = _run()
        out.flush()
    sys.exit(FAILED if out.lost and not code else code)


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.Abort:
        return INTERRUPTED
    except _MISTAKES as error:
        return _misused(error)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return MISUSED if isinstance(error, BadParameter) else FAILED
    except OSError as error:
        if error.errno != errno.EPIPE:  # `lab logs | head`
            raise
        return FAILED


def _misused(error: Any) -> int:
    """Say in a line what is wrong with the options, as every other error is said."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "lab"
        text = " ".join(error.format_message().split())
        print(f"lab: {text.rstrip('.')}: see `{command} --help`", file=sys.stderr)
    return int(error.exit_code)


class _LenientStream(io.TextIOBase):
    """A standard stream that raises no OSError but for a closed pipe: what it cannot write goes elsewhere."""

    def __init__(self, name: str, stream: TextIO | None, instead: io.TextIOBase | None = None) -> None:
        self.lost = stream is None
        """Whether something was not written where it belongs."""
        self._name = name
        self._stream = stream
        self._instead = instead
        self._pending = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return not self.lost and self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._stream is None:
            raise io.UnsupportedOperation(f"{self._name} is closed")
        return self._stream.fileno()

    def write(self, text: str) -> int:
        if self.lost:
            self._divert(text)
        else:
            self._pending += text
            self._try(lambda stream: stream.write(text))
        return len(text)

    def flush(self) -> None:
        if not self.lost:
            self._try(lambda stream: stream.flush())
            self._pending = ""

    def _try(self, act: Callable[[TextIO], object]) -> None:
        assert self._stream is not None
        try:
            act(self._stream)
        except OSError as error:
            self.lost = error.errno != errno.EPIPE
            _silence(self._stream)
            if not self.lost:
                raise
            self._divert(f"lab: {self._name} cannot be written ({error.strerror}), so here is the rest:\n")
            self._divert(self._pending)

    def _divert(self, text: str) -> None:
        if self._instead is not None:
            self._instead.write(text)
            self._instead.flush()


def _silence(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, so that Python does not complain of it at the exit."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@contextlib.contextmanager
def _lenient_streams() -> Iterator[_LenientStream]:
    """Put lenient streams in the place of stdout and stderr; give that of stdout."""
    write_plainly()
    err = _LenientStream("stderr", sys.stderr)
    out = _LenientStream("stdout", sys.stdout, instead=err)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield out
