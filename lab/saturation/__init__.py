"""Find how much load a service takes: the highest level that keeps a goal, the knee of a curve, and its law.

A SearchSpec says what to search: a goal of conditions, and levels of rate or concurrency. `saturate`
(saturate.py) then goes round:

    Search (search.py) ──next level──▶ Probe ──a measured row──▶ judged ──SearchResult──▶ Search

`probing` makes a Probe of real load (lab.load.run, lab.measure.row); tests give one of their own. Search is
pure arithmetic: it brackets the limit, then narrows the bracket. It ends (Ending) when the limit is known as
precisely as was asked, when probes run out, when nothing can be judged, or when a probe would take too long.
A level that the generator itself could not put on (ProbeRow.shortage) is never held against the server.

scalability.py stands apart: it finds the knee of a measured curve, and fits the Universal Scalability Law.
"""

from lab.saturation.saturate import (
    Ending,
    Probe,
    ProbeRow,
    Saturation,
    SearchInterrupted,
    SearchSpec,
    probing,
    saturate,
)
from lab.saturation.scalability import ScalabilityFit, fit_scalability, knee
from lab.saturation.search import Search, SearchResult

__all__ = [
    "Ending",
    "Probe",
    "ProbeRow",
    "Saturation",
    "ScalabilityFit",
    "Search",
    "SearchInterrupted",
    "SearchResult",
    "SearchSpec",
    "fit_scalability",
    "knee",
    "probing",
    "saturate",
]
