"""Results on disk, and how rows come back from them.

A result is a CSV, one row per trial, with a sidecar of the same name beside it that says where it comes from.
`csv_table.CsvTable` is the one reader of text: whatever has the required columns is read, columns it lacks
are blank, unknown columns are kept, and what is no result, or is not as it was written (torn, merged,
joined), is refused with its line. `csv_file.Results` locks the CSV, gives an older one the newest header, and
appends row by row, each by one write, after the sidecar (`sidecar`) has taken the trial's histograms: a crash
leaves whole rows. On the reader stand `csv_file.read_measurements` (rows as measurements), `csv_file.check`
(every cell held against `schema`, which is generated from lab.measure.columns) and `frame.read` (rows as a
pandas frame, for charts and comparisons, which ask `frame.require_cells_apart` before they pool rows).
`folder` finds results by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.imports import lazily

if TYPE_CHECKING:
    from lab.results.csv_file import Results, check, read_measurements, require_resumable
    from lab.results.folder import baseline, newest, result_path
    from lab.results.frame import frame_of, read, require_cells_apart, require_columns
    from lab.results.schema import table_schema
    from lab.results.sidecar import Provenance, Sidecar

__all__ = [
    "Provenance",
    "Results",
    "Sidecar",
    "baseline",
    "check",
    "frame_of",
    "newest",
    "read",
    "read_measurements",
    "require_cells_apart",
    "require_columns",
    "require_resumable",
    "result_path",
    "table_schema",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "lab.results.csv_file": ("Results", "check", "read_measurements", "require_resumable"),
        "lab.results.folder": ("baseline", "newest", "result_path"),
        "lab.results.frame": ("frame_of", "read", "require_cells_apart", "require_columns"),
        "lab.results.schema": ("table_schema",),
        "lab.results.sidecar": ("Provenance", "Sidecar"),
    },
)
