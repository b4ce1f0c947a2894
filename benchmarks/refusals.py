"""Measure how long a mistake takes to be refused."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.goals import GoalFigure, at_most
from lab.children import child_command

__all__ = ["refusals"]

URL = "http://127.0.0.1:9/"
LIMIT_S = 1.0
ROUNDS = 3
"""The shortest of so many counts: a busy machine makes others longer."""
MISTAKES: tuple[tuple[str, ...], ...] = (
    ("load", URL, "--fail-if", "errors=0"),
    ("load", URL, "--fail-if", "p99=200ms"),
    ("load", URL, "--fail-if", "p99>nan"),
    ("load", URL, "--fail-if", "latency>200ms"),
    ("load", URL, "--think-time", "inf"),
    ("load", URL, "--timeout", "1e300"),
    ("load", URL, "--duration", "-5s"),
    ("load", URL, "--rate", "nan"),
    ("load", URL, "--rate", "1e300"),
    ("load", URL, "--concurrency", "1e300"),
    ("load", URL, "--payload-bytes", "1000000000000"),
    ("load", URL, "--body", '{"a":1}'),
    ("load", URL, "--body", "/dev/zero"),
    ("load", URL, "--csv", "/dev/full"),
    ("load", URL, "--csv", "/proc/mine.csv"),
    ("load", URL, "--rate", "5", "--duration", "2s"),
    ("load", URL, "--cpu", "-1"),
    ("load", URL, "--header", "Content-Length: 5", "--body-text", "ab"),
    ("load", URL, "--key", "/nowhere"),
    ("load", "unix:/nowhere.sock:/"),
    ("saturate", URL, "--slo", "p99>200ms"),
    ("saturate", URL, "--guess", "1e300"),
    ("saturate", URL, "--guess", "nan"),
    ("saturate", URL, "--precision", "nan"),
    ("saturate", URL, "--csv", "/dev/full"),
    ("benchmark", "--concurrency", "nan"),
    ("benchmark", "--trials", "1e300"),
    ("up", "sequential", "--work-ms", "inf"),
)


_ENV = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""With compiled modules kept, as everybody's Python keeps them from the first command on."""


def refusals() -> Iterator[GoalFigure]:
    """Measure the time until each mistake on the command line is refused in a line, with nothing sent."""
    for mistake in MISTAKES:
        seconds = min(_refused_in(mistake) for _ in range(ROUNDS))
        yield at_most("lab " + " ".join(word for word in mistake if word != URL), seconds, LIMIT_S, "s")


def _refused_in(arguments: tuple[str, ...]) -> float:
    """Return the seconds that it took; nan where it was not refused as it should be."""
    env = {**_ENV, "PYTHONPYCACHEPREFIX": str(Path("build", "pycache").absolute())}
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        command = child_command("lab.cli", *arguments)
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)
        seconds = time.monotonic() - begun
    in_a_line = done.returncode == 2 and len(done.stderr.splitlines()) == 1
    return seconds if in_a_line and not done.stdout else float("nan")
