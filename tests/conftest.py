"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# Hypothesis times each example by default; on a machine that does other things too that tells nothing.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
