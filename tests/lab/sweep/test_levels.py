"""A factor is told as a person would type it, and what does not fit is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from lab.errors import BadParameter
from lab.sweep.levels import factor_names, read_levels


@pytest.mark.parametrize(
    ("name", "typed", "levels"),
    [
        ("concurrency", 8, (8,)),
        ("concurrency", [1, 3, 8], (1, 3, 8)),
        ("concurrency", "1, 3,8", (1, 3, 8)),
        ("concurrency", range(1, 4), (1, 2, 3)),
        ("concurrency", [1, 1.0, "1"], (1,)),
        ("work_ms", 40, ("40",)),
        ("work_ms", 2.5, ("2.5",)),
        ("work_ms", [20, 40], ("20", "40")),
        ("work_ms", "0, 0,40,0", ("0,0,40,0",)),
        ("work_ms", ["0,0,40,0", 40], ("0,0,40,0", "40")),
        ("topology", "sequential,parallel", ("sequential", "parallel")),
        ("work", "documented", ("io",)),
        ("requested_rate", "5", (5.0,)),
        ("think_time_ms", 0, (0.0,)),
        ("corpus", "a,b/texts", ("a,b/texts",)),
    ],
)
def test_a_scalar_a_list_and_text_with_commas_become_levels(
    name: str, typed: Any, levels: tuple[Any, ...]
) -> None:
    assert read_levels(name, typed) == levels


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("concurrency", 0),
        ("concurrency", 2.5),
        ("concurrency", True),
        ("concurrency", "many"),
        ("concurrency", [1, None]),
        ("concurrency", {"a": 1}),
        ("work_ms", -1),
        ("work_ms", "0,0,forty,0"),
        ("work_ms", float("inf")),
        ("requested_rate", 0),
        ("duration_s", 0),
        ("duration_s", "nan"),
        ("topology", "serial"),
        ("load_model", "ramp"),
        ("client", 3),
        ("payload_bytes", 0),
        ("seed", -1),
    ],
)
def test_what_does_not_fit_is_refused_with_what_does(name: str, typed: Any) -> None:
    with pytest.raises(BadParameter, match=rf"^{name} cannot be .*: it takes "):
        read_levels(name, typed)


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(BadParameter, match="concurrency is an empty list"):
        read_levels("concurrency", [])


def test_an_unknown_factor_is_refused_with_the_nearest_and_all_others() -> None:
    with pytest.raises(BadParameter) as refused:
        read_levels("concurency", 3)
    assert "Did you mean concurrency?" in str(refused.value)
    assert all(name in str(refused.value) for name in factor_names())
