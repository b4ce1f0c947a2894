"""A pipeline of one's own: a directed graph of services that a file or Python describes.

    shop.yml → document (data with lines) → form (its keys, read by readers) → graph (circles, order of start)
                                              └ mistakes (each said with its line)
    Pipeline → wiring (ports, command lines, environments) → drawing

`read_pipeline` reads a file; `Pipeline(...)` is its twin in Python and is checked by the same form.
Both are frozen data: nothing here starts a server.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from lab.errors import BadParameter
from lab.pipeline.document import read_document
from lab.pipeline.form import Call, Entry, ExpectedAnswers, OwnService, Pipeline, ServiceKind, of_data
from lab.pipeline.mistakes import lines_of

__all__ = ["Call", "Entry", "ExpectedAnswers", "OwnService", "Pipeline", "ServiceKind", "read_pipeline"]


def read_pipeline(path: Path | str) -> Pipeline:
    """Read a pipeline file. Raises BadParameter: a line with file and line number for each mistake."""
    document = read_document(Path(path))
    try:
        return of_data(document.data, document.path.absolute().parent)
    except BadParameter as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            raise BadParameter("\n".join(lines_of(cause, Pipeline, document))) from None
        raise BadParameter(document.mistake((), str(error))) from None
