"""The notebooks without JupyterLab: parameters checked first, cells run by papermill, a page at the end."""

from __future__ import annotations

from lab.notebook.execute import Executed, execute, read_notebook
from lab.notebook.parameters import Parameter, parameters_of, read_parameters

__all__ = ["Executed", "Parameter", "execute", "parameters_of", "read_notebook", "read_parameters"]
