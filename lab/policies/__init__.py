"""Which policy wins where instances or requests are unlike: measured, and simulated beside it."""

from __future__ import annotations

from lab.policies.scenario import Scenario
from lab.policy_comparison import Contest, Standing, contest, plan_contest

__all__ = ["Contest", "Scenario", "Standing", "contest", "plan_contest"]
