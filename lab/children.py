"""Programs of the lab that the lab itself starts, whatever folder and environment it is used from.

`python -m` puts the working directory first on the path, and PYTHONPATH comes before what is installed: a
`services` folder or a `lab.py` of the user's in either would be imported instead of the lab's. So a child is
this file run as a script under `-P`: it imports `services` and `lab` from beside itself, then does what
`python -m MODULE` does. Path and environment stay as they are.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

__all__ = ["child_command"]


def child_command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs `module` of this lab as a program, with this Python."""
    return [sys.executable, "-P", __file__, module, *arguments]


def _import_own() -> None:
    """Import both packages from beside this file. Their submodules are then found where they are."""
    root = str(Path(__file__).parent.parent)
    for name in ("services", "lab"):
        spec = PathFinder.find_spec(name, [root])
        assert spec is not None, f"{name} is not beside {__file__}"
        assert spec.loader is not None
        sys.modules[name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)


if __name__ == "__main__":
    from runpy import run_module

    del sys.argv[0]
    _import_own()
    run_module(sys.argv[0], run_name="__main__", alter_sys=True)
