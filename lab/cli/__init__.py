"""The command line, `lab`: what can be asked of the laboratory without writing Python."""

from __future__ import annotations

from lab.cli.main import main

__all__ = ["main"]
