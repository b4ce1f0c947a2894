"""The sentences under a chart, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from lab.charts.findings import Finding

__all__ = ["caption"]

NOTHING = (
    "Nothing here is what the documents speak of: they are judged in a closed loop without think time, "
    "at concurrency 1 (sequential) and 3 (parallel with four replicas)."
)


def caption(findings: Sequence[Finding]) -> str:
    """One sentence for each finding, its verdict in bold; a list where there are several."""
    sentences = [_emphasised(finding) for finding in findings] or [NOTHING]
    return sentences[0] if len(sentences) == 1 else "\n".join(f"- {each}" for each in sentences)


def _emphasised(finding: Finding) -> str:
    """The sentence with the last mention of its verdict in bold: an earlier one is somebody's name."""
    head, verdict, tail = str(finding).rpartition(str(finding.verdict))
    return f"{head}**{verdict}**{tail}"
