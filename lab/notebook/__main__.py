"""Run a notebook: `python -m lab.notebook notebooks/02_sweep.ipynb -p concurrency "[1, 2]" -p work_ms 20`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lab.errors import LabError
from lab.plain_text import write_plainly

__all__ = ["main", "parser"]

INTERRUPTED = 130
"""The exit code of shells for a program that Ctrl-C ended: 128 and the number of SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a notebook and return the exit code.

    0 if all cells ran, 1 if one failed, 2 if nothing was started because of what was typed, 130 after Ctrl-C.
    """
    write_plainly()
    try:
        return _run(parser().parse_args(arguments))
    except KeyboardInterrupt:
        kept = "a sweep keeps its trials so far, and goes on when it is run again with its name (-p name …)"
        print(f"\ninterrupted: {kept}", file=sys.stderr)
        return INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    # Imported here, so that an interrupt during the import ends this as a later one does.
    from lab.notebook.parameters import read_notebook, read_parameters

    try:
        parameters = read_parameters(read_notebook(options.notebook), options.parameter)
        options.build.mkdir(parents=True, exist_ok=True)
    except FileNotFoundError as error:
        print(f"there is no notebook {error.filename}: `ls notebooks` shows those there are", file=sys.stderr)
        return 2
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"--build {options.build} cannot be written ({error.strerror}): name a folder", file=sys.stderr)
        return 2
    from lab.notebook.execution import CELL_TIMEOUT_S, execute  # after the check, as it takes long

    timeout_s = CELL_TIMEOUT_S if options.timeout is None else options.timeout
    try:
        executed = execute(options.notebook, parameters, build=options.build, cell_timeout_s=timeout_s)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{options.build} cannot be written ({error.strerror}): make room there", file=sys.stderr)
        return 1
    print(f"\n{executed.answer}\n\nwrote {executed.notebook} and {executed.html}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the reader of the command line."""
    reader = argparse.ArgumentParser(
        prog="python -m lab.notebook", description="Run a notebook from top to bottom."
    )
    reader.add_argument("notebook", type=Path)
    reader.add_argument(
        "-p",
        "--parameter",
        nargs=2,
        action="append",
        default=[],
        metavar=("NAME", "VALUE"),
        help="set a parameter of the notebook; VALUE as YAML: 20, parallel, [1, 2, 4]",
    )
    reader.add_argument("--build", type=Path, default=Path("build"), help="where to write (default: build)")
    reader.add_argument(
        "--timeout",
        type=float,
        metavar="S",
        help="longest a cell may take, in s",
    )
    return reader


if __name__ == "__main__":
    raise SystemExit(main())
