"""How much a service bears: the highest load that keeps a goal, the knee of a curve, and its law."""

from lab.saturation.saturate import Ending, Probe, Question, Saturation, probing, saturate
from lab.saturation.scalability import ScalabilityFit, fit_scalability, knee
from lab.saturation.search import Found, Search

__all__ = [
    "Ending",
    "Found",
    "Probe",
    "Question",
    "Saturation",
    "ScalabilityFit",
    "Search",
    "fit_scalability",
    "knee",
    "probing",
    "saturate",
]
