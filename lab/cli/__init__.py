"""The command line, `lab`: what can be asked of the laboratory without writing Python."""

from __future__ import annotations

import sys

__all__ = ["main"]

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


def main() -> None:
    """Run the command line of this process and end it; interrupted, without a word, also while it imports."""
    try:
        from lab.cli.app import run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
