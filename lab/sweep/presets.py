"""Presets: what a sweep runs unless told otherwise, by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from lab.measure.factors import DEFAULT_CORPUS
from lab.sweep.levels import Level, read_levels
from lab.sweep.windows import Windows

__all__ = ["Preset", "PresetName", "preset_named"]


class PresetName(StrEnum):
    """Names of presets, from little to much."""

    QUICK = "quick"
    """The documented points and saturation once over: shows that everything works, in half a minute."""
    QUICKSTART = "quickstart"
    """As quick, with three short trials each, so that there are intervals: under a minute."""
    DEFAULT = "default"
    """Both topologies at concurrency 1, 3, 8 and 32, three trials each: under three minutes."""
    FULL = "full"
    """Seven concurrencies, constant and exponential work, ten trials of 64 answers or more: forty minutes."""


@dataclass(frozen=True, slots=True)
class Preset:
    """The levels of every factor that has one by default, how often each cell runs, and how long."""

    levels: dict[str, tuple[Level, ...]]
    trials: int
    windows: Windows


def preset_named(name: PresetName) -> Preset:
    """Return the preset of that name."""
    return _PRESETS[name]


def _levels(**values: Any) -> dict[str, tuple[Level, ...]]:
    return {name: read_levels(name, value) for name, value in values.items()}


_DEFAULT = Preset(
    _levels(
        topology=["sequential", "parallel"],
        replicas=4,
        policy="round_robin",
        balancer="builtin",
        protocol="http",
        placement="in-process",
        client="wire",
        work="io",
        work_ms=40,
        work_distribution="constant",
        slots=1,
        corpus=DEFAULT_CORPUS,
        payload_bytes=1024,
        load_model="closed",
        concurrency=[1, 3, 8, 32],
        think_time_ms=0,
        seed=1,
        warmup_mode="fixed",
    ),
    trials=3,
    windows=Windows(answers=24, shortest_s=4.0),
)
_SHORT = {**_DEFAULT.levels, **_levels(concurrency=[1, 3, 24])}
_PRESETS = {
    PresetName.QUICK: Preset(_SHORT, trials=1, windows=Windows(answers=18, shortest_s=1.5)),
    PresetName.QUICKSTART: Preset(_SHORT, trials=3, windows=Windows(answers=14, shortest_s=0.9)),
    PresetName.DEFAULT: _DEFAULT,
    # 64 answers are what p90 asks for; 72 leave room for what runs below its prediction.
    PresetName.FULL: replace(
        _DEFAULT,
        levels=_DEFAULT.levels
        | _levels(concurrency=[1, 2, 3, 4, 8, 16, 32], work_distribution=["constant", "exponential"]),
        trials=10,
        windows=Windows(answers=72, shortest_s=4.0, longest_s=24.0),
    ),
}
