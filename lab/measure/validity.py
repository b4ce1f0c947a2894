"""Whether a trial can be believed, and if not, why: each reason with its threshold."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from enum import StrEnum

from lab.errors import BadParameter
from lab.measure.disturbance import MOST_CPU, TOLERANCE, Disturbance, DisturbanceSource
from lab.measure.percentiles import sample_floor

__all__ = [
    "EXEMPTIBLE",
    "MEANING",
    "THRESHOLD",
    "Evidence",
    "InvalidReason",
    "is_spoilt",
    "reasons_against",
]

THROUGHPUT = "throughput_rps"
"""The column without which a row says nothing."""
MOST_DROPPED = 0.01
"""Share of the requests due that were never sent."""
MOST_RESIDUAL = 0.05
"""Residual of Little's law, beside the share of the window that one request takes: the edges may cut it
off."""
MOST_DRIFT = 0.1
"""Relative change of the mean response time between the first and the last third of the window."""
DRIFT_LEVEL = 0.001
"""The p-value below which such a change is not taken for chance."""


class InvalidReason(StrEnum):
    """Reasons not to believe the latency of a trial."""

    GENERATOR_BOUND = "generator_bound"
    """The generator's own CPU moved the throughput."""
    RATE_NOT_ACHIEVED = "rate_not_achieved"
    """The generator could not send all that was due; failures of servers are no such reason."""
    LITTLES_LAW = "littles_law"
    """Mean in flight, rate and time in flight contradict each other: something was not counted."""
    NOT_STEADY = "not_steady"
    """The response time was another at the end of the window than at its beginning."""
    TOO_FEW_SAMPLES = "too_few_samples"
    """Fewer answers than even a median needs."""
    SERVERS_CHANGED = "servers_changed"
    """A server came, went or restarted during the run."""
    MACHINE_BUSY = "machine_busy"
    """Programs outside the trial kept the generator or the servers waiting, which moved the throughput."""
    BALANCER_SHORT = "balancer_short"
    """A balancer itself ran out of something, such as descriptors, and failed requests for it."""


MEANING = {
    InvalidReason.GENERATOR_BOUND: "the generator used all of its core, so it was measured and not the"
    " servers; give it more processes, or load less",
    InvalidReason.RATE_NOT_ACHIEVED: "not all that was due was sent; ask for less",
    InvalidReason.LITTLES_LAW: "what was in flight, its rate and its time contradict each other;"
    " measure longer",
    InvalidReason.NOT_STEADY: "times were others at the end than at the beginning;"
    " warm up longer, or ask for less",
    InvalidReason.TOO_FEW_SAMPLES: "fewer answers than a median needs; measure longer",
    InvalidReason.SERVERS_CHANGED: "a server came, went or restarted during the run",
    InvalidReason.MACHINE_BUSY: "other programs kept the generator or the servers waiting; end them (top"
    " names them), or measure again when they are done",
    InvalidReason.BALANCER_SHORT: "a balancer ran out of descriptors, ports or memory, as its log says; raise"
    " the limit (ulimit -Hn), or load less",
}
"""Each reason in words, and what to do about it."""

THRESHOLD = {
    InvalidReason.GENERATOR_BOUND: f"throughput moved by more than {TOLERANCE:.0%} by the generator's own"
    f" CPU, of which it used more than {MOST_CPU:g} cores",
    InvalidReason.RATE_NOT_ACHIEVED: f"more than {MOST_DROPPED:.0%} of what was due not sent",
    InvalidReason.LITTLES_LAW: f"a residual above {MOST_RESIDUAL:g} and a request's share of the window"
    " together",
    InvalidReason.NOT_STEADY: f"more than {MOST_DRIFT:.0%} of drift, and p < {DRIFT_LEVEL:g} for chance"
    " to make it",
    InvalidReason.TOO_FEW_SAMPLES: f"fewer than {sample_floor(0.5)} successes",
    InvalidReason.SERVERS_CHANGED: "any change",
    InvalidReason.MACHINE_BUSY: f"throughput moved by more than {TOLERANCE:.0%} by other programs",
    InvalidReason.BALANCER_SHORT: "any time that a balancer ran out of something",
}
"""The limit from which each reason holds."""

EXEMPTIBLE = frozenset(
    {
        InvalidReason.RATE_NOT_ACHIEVED,
        InvalidReason.LITTLES_LAW,
        InvalidReason.NOT_STEADY,
        InvalidReason.SERVERS_CHANGED,
    }
)
"""Reasons that an experiment may mean to happen; a bound generator and too few samples never are."""
_LASTING = frozenset({InvalidReason.GENERATOR_BOUND, InvalidReason.BALANCER_SHORT})
"""Reasons that lie in what was planned, and that a further trial has too."""
_LASTING_IF_QUIET = frozenset({InvalidReason.TOO_FEW_SAMPLES, InvalidReason.RATE_NOT_ACHIEVED})
"""Reasons that do so unless others slowed the trial down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The facts of one window that validity depends on. None is unknown, and no reason against a trial."""

    succeeded: int
    due: int
    """Requests whose intended start lies in the window, sent or dropped."""
    dropped: int
    disturbance: Disturbance = field(default_factory=Disturbance)
    littles_law_residual: float | None = None
    request_share: float = 0.0
    """Mean time in flight of a request, as a share of the window."""
    drift: float | None = None
    drift_p: float | None = None
    """The p-value of the drift."""
    servers_changed: bool = False
    balancer_shortages: int = 0
    """How often balancers ran out of something of their own."""


def reasons_against(evidence: Evidence, exempt: Set[InvalidReason] = frozenset()) -> frozenset[InvalidReason]:
    """Return all reasons not to believe the latency, less the exempt ones; none means valid.

    Raises BadParameter for an exemption that no experiment may declare.
    """
    if not exempt <= EXEMPTIBLE:
        raise BadParameter(
            f"{sorted(exempt - EXEMPTIBLE)} cannot be exempt: only {sorted(EXEMPTIBLE)} can be planned"
        )
    checks = {
        InvalidReason.GENERATOR_BOUND: _throughput_moved(evidence, DisturbanceSource.GENERATOR),
        InvalidReason.MACHINE_BUSY: _throughput_moved(evidence, DisturbanceSource.OTHERS),
        InvalidReason.RATE_NOT_ACHIEVED: evidence.dropped > MOST_DROPPED * evidence.due,
        InvalidReason.LITTLES_LAW: _above(
            evidence.littles_law_residual, MOST_RESIDUAL + evidence.request_share
        ),
        InvalidReason.NOT_STEADY: _not_steady(evidence),
        InvalidReason.TOO_FEW_SAMPLES: evidence.succeeded < sample_floor(0.5),
        InvalidReason.SERVERS_CHANGED: evidence.servers_changed,
        InvalidReason.BALANCER_SHORT: evidence.balancer_shortages > 0,
    }
    return frozenset(reason for reason, holds in checks.items() if holds) - exempt


def is_spoilt(text: str | None) -> bool:
    """Tell whether a trial is invalid for what a further one need not have, by its invalid_reason."""
    reasons = set((text or "").split())
    lasting = _LASTING if InvalidReason.MACHINE_BUSY in reasons else _LASTING | _LASTING_IF_QUIET
    return bool(reasons) and not reasons & lasting


def _throughput_moved(evidence: Evidence, by: DisturbanceSource) -> bool:
    found = evidence.disturbance
    return found.source is by and THROUGHPUT in found.beyond()


def _not_steady(evidence: Evidence) -> bool:
    if evidence.drift is None or evidence.drift_p is None:
        return False
    return abs(evidence.drift) > MOST_DRIFT and evidence.drift_p < DRIFT_LEVEL


def _above(value: float | None, limit: float) -> bool:
    return value is not None and value > limit
