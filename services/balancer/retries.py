"""Whether a request that failed at one instance may go to another, and the budget that pays for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import exp, expm1

from services.wire.errors import BrokenAnswer, FailureKind, NotConnected, NotSent, WireError

__all__ = ["RetryBudget", "RetryDecision", "RetryRules", "after_failure", "after_status"]

CUT_OFF = frozenset(
    {FailureKind.RESET, FailureKind.CLOSED_EARLY, FailureKind.SHORT_BODY, FailureKind.READ_TIMEOUT}
)
"""How a response ends whose instance died or fell silent."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """What a route declares about retries."""

    idempotent: bool = False
    """Doing it twice does no harm."""
    statuses: frozenset[int] = frozenset()
    """Statuses that the route wants taken as failures; all others pass through with their body."""


class RetryDecision(StrEnum):
    """Whether a request may be tried again, and if not, why."""

    RETRY = "retry"
    BROKEN_ANSWER = "broken_answer"
    """What came is no response: asking elsewhere would hide that rather than mend it."""
    NOT_REPLAYABLE = "not_replayable"
    """The request was not kept: its body was too large."""
    NOT_IDEMPOTENT = "not_idempotent"
    """The request may have been executed already, and its route does not say that twice does no harm."""
    NO_BUDGET = "no_budget"


class RetryBudget:
    """The retries that are paid for, so that failing instances do not get more load than healthy ones.

    A balance B that every request raises by `ratio` and every second by `per_second`, that every retry lowers
    by 1, and that fades with the time constant `window_s`:

        dB/dt = ratio × request rate + per_second - B / window_s - retry rate,   B >= 0

    So in any stretch of T seconds with N requests there are at most B + ratio × N + per_second × T retries,
    where B, the balance it began with, is at most window_s × (ratio × the highest request rate + per_second),
    and `per_second` × 1 s in the very beginning. (Finagle's budget, whose tokens expire after ten seconds,
    with the edge of that window made soft, which makes it two numbers to keep.)
    """

    __slots__ = ("_at", "_balance", "_per_second", "_ratio", "_window_s", "requests")

    def __init__(
        self, now: float, ratio: float = 0.2, per_second: float = 10.0, window_s: float = 10.0
    ) -> None:
        if ratio < 0 or per_second < 0:
            raise ValueError(f"a retry budget of {ratio} and {per_second}/s: neither may be below 0")
        if not window_s > 0:
            raise ValueError(f"the retry budget's window is {window_s} s: it must be above 0")
        self._ratio = ratio
        self._per_second = per_second
        self._window_s = window_s
        self._balance = per_second
        self._at = now
        self.requests = 0
        """Requests, retries aside, since the last look at the balance: plain data, as each request adds 1."""

    def balance(self, now: float) -> float:
        """Return what may be spent now. `requests` are taken as evenly spread since the last look."""
        passed = max(0.0, now - self._at)
        earned = self._ratio * self.requests + self._per_second * passed
        share = passed / self._window_s
        kept = -expm1(-share) / share if share else 1.0
        self._balance = self._balance * exp(-share) + earned * kept
        self._at = max(self._at, now)
        self.requests = 0
        return self._balance

    def spend(self, now: float) -> bool:
        """Pay for one retry. Returns False, and pays nothing, if the balance is below 1."""
        if self.balance(now) < 1.0:
            return False
        self._balance -= 1.0
        return True


def after_failure(
    error: WireError, rules: RetryRules, budget: RetryBudget | None, now: float, *, replayable: bool
) -> RetryDecision:
    """Decide whether a request may be tried elsewhere after `error`. Pays for the retry if it must.

    Do not ask once anything of a response was passed on: that is never tried again. A response that was kept
    back counts as none, where the instance died in the midst of it.
    Give no `budget` where no other instance is left: then nothing needs paying for.

    A request of which nothing was sent may always be tried elsewhere, for nothing.
    """
    if isinstance(error, BrokenAnswer) and error.kind not in CUT_OFF:
        return RetryDecision.BROKEN_ANSWER
    if not replayable:
        return RetryDecision.NOT_REPLAYABLE
    if isinstance(error, NotConnected | NotSent):
        return RetryDecision.RETRY
    return _again(rules, budget, now)


def after_status(
    status: int, rules: RetryRules, budget: RetryBudget | None, now: float, *, replayable: bool
) -> RetryDecision | None:
    """Decide on a retry after a response with this status. None: pass the response on."""
    if status not in rules.statuses:
        return None
    return _again(rules, budget, now) if replayable else RetryDecision.NOT_REPLAYABLE


def _again(rules: RetryRules, budget: RetryBudget | None, now: float) -> RetryDecision:
    if not rules.idempotent:
        return RetryDecision.NOT_IDEMPOTENT
    return RetryDecision.RETRY if budget is None or budget.spend(now) else RetryDecision.NO_BUDGET
