"""JupyterLab, opened where it can be: `python -m lab.notebook.jupyter [JupyterLab's options] [notebook]`.

JupyterLab itself fails as root with a line among thirty, waits for ever for a browser that is not there, and
gives a URL that cannot be reached from outside a container or over SSH. This says what to do instead.
"""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

__all__ = ["FIRST", "command", "main", "refusal", "remarks"]

FIRST = "notebooks/01_quickstart.ipynb"
"""The notebook that is opened where none is named."""
ROOT, NO_BROWSER = "--allow-root", "--no-browser"
_CONTAINER_FILES = (Path("/.dockerenv"), Path("/run/.containerenv"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Become JupyterLab. Returns 2 where it would refuse to start."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    refused = refusal(typed, user=os.geteuid())
    if refused:
        print(refused, file=sys.stderr)
        return 2
    seen = _has_browser(os.environ)
    inside = any(file.exists() for file in _CONTAINER_FILES)
    for remark in remarks(typed, os.environ, browser=seen, container=inside):
        print(remark, file=sys.stderr, flush=True)
    return os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", *command(typed, browser=seen)])


def refusal(typed: Sequence[str], user: int) -> str:
    """Say why JupyterLab would not start, and what to type instead; empty where it would."""
    if user == 0 and ROOT not in typed:
        again = " ".join(["nox -s lab --", *typed, ROOT])
        return f"JupyterLab does not run as root unless it is told to: {again}"
    return ""


def command(typed: Sequence[str], *, browser: bool) -> list[str]:
    """Return JupyterLab's arguments: what was typed, a notebook to open, no browser where there is none."""
    names_one = any(each.endswith(".ipynb") or (each[:1] != "-" and Path(each).is_dir()) for each in typed)
    alone = [] if browser or NO_BROWSER in typed else [NO_BROWSER]
    return [*typed, *alone, *([] if names_one else [FIRST])]


def remarks(
    typed: Sequence[str], environ: Mapping[str, str], *, browser: bool, container: bool
) -> Iterator[str]:
    """Say how to reach JupyterLab from where the browser is."""
    if environ.get("SSH_CONNECTION"):
        yield (
            "over SSH: on your own machine run `ssh -L 8888:127.0.0.1:8888 THIS_HOST`, with the port of the "
            "URL below, then open that URL there"
        )
    elif container and not any(each.startswith(("--ip", "--ServerApp.ip")) for each in typed):
        yield (
            "in a container: publish the port (`docker run -p 8888:8888 …`), listen on all addresses "
            f"({' '.join(['nox -s lab --', *typed, '--ip 0.0.0.0'])}), then open the URL below"
        )
    elif not browser or NO_BROWSER in typed:
        yield "there is no browser here: open the URL below in one that reaches this machine"


def _has_browser(environ: Mapping[str, str]) -> bool:
    """Return whether a browser with windows can open here."""
    if environ.get("SSH_CONNECTION"):
        return False
    shown = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY") or environ.get("BROWSER")
    if sys.platform.startswith("linux") and not shown:
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
