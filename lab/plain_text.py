"""What is written to a terminal whose encoding lacks characters: plainer ones, and never an error."""

from __future__ import annotations

import codecs
import io
import sys

__all__ = ["write_plainly"]

_PLAIN = {
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "µ": "u",
    "✓": "ok",
    "▲": "^",
    "▼": "v",
}


def write_plainly() -> None:
    """Have stdout and stderr write plainer characters for those that their encoding lacks.

    A character that has no plainer one becomes its escape.
    """
    codecs.register_error("plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """Return what to write for characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    plain = (_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in characters)
    return "".join(plain), error.end
