"""How much a service bears: the highest load that keeps a goal, the knee of a curve, and its law."""

from lab.saturation.saturate import Ending, Probe, Saturation, SearchSpec, probing, saturate
from lab.saturation.scalability import ScalabilityFit, fit_scalability, knee
from lab.saturation.search import Search, SearchResult

__all__ = [
    "Ending",
    "Probe",
    "Saturation",
    "ScalabilityFit",
    "Search",
    "SearchResult",
    "SearchSpec",
    "fit_scalability",
    "knee",
    "probing",
    "saturate",
]
