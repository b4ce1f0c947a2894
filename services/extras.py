"""The optional parts of the distribution, and the one command that adds one to this environment."""

from __future__ import annotations

import shlex
import shutil
import sys
from importlib.util import find_spec

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """Return the command that installs an extra into the environment of this interpreter.

    It is pip's; uv's where the environment has no pip, as those that uv makes have none. The lab itself is
    installed there, so that only what the extra needs is fetched.
    """
    python, wanted = shlex.quote(sys.executable), f"'pipeline-lab[{extra}]'"
    if find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip install --python {python} {wanted}"
    return f"{python} -m pip install {wanted}"
