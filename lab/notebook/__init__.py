"""The notebooks without JupyterLab: parameters checked first, cells run by papermill, a page at the end.

What is named here is imported when it is first asked for: papermill and its company take most of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.notebook.execution import Executed, execute, read_notebook
    from lab.notebook.parameters import Parameter, parameters_of, read_parameters

__all__ = ["Executed", "Parameter", "execute", "parameters_of", "read_notebook", "read_parameters"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.notebook.execution": ("Executed", "execute", "read_notebook"),
        "lab.notebook.parameters": ("Parameter", "parameters_of", "read_parameters"),
    },
)
