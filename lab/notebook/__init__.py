"""The notebooks without JupyterLab: `python -m lab.notebook notebooks/02_sweep.ipynb -p work_ms 20`.

`__main__` reads the command line and gives the exit code. `parameters` reads the notebook, finds the
defaults in its `parameters` cell, turns what was typed into values of the same kinds, and calls the check
that the notebook names in its metadata; nothing has run so far, and a mistake ends here with code 2. Then
`execution` has papermill run the cells in a kernel of their own, prints what they print, and keeps the
executed notebook and a page of HTML (`report`, template in `page/`), as far as the run came: code 0, or 1 if
a cell failed, took too long or lost its kernel. `needs` says which extras that takes.

`jupyter` opens JupyterLab where it can be opened, and says elsewhere what to do.

In a kernel, `parameters_in` (kernel.py) says what the parameters cell sets now, and `plans` what each
notebook makes of it: the same functions that check what was typed.

What is named here is imported when it is first asked for: papermill alone takes most of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.notebook.execution import Executed, execute
    from lab.notebook.kernel import parameters_in
    from lab.notebook.parameters import Parameter, parameters_of, read_notebook, read_parameters

__all__ = [
    "Executed",
    "Parameter",
    "execute",
    "parameters_in",
    "parameters_of",
    "read_notebook",
    "read_parameters",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.notebook.execution": ("Executed", "execute"),
        "lab.notebook.kernel": ("parameters_in",),
        "lab.notebook.parameters": ("Parameter", "parameters_of", "read_notebook", "read_parameters"),
    },
)
